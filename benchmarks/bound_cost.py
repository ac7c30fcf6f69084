"""What a relaxation costs, as a multiple of the plain network, both measured in one run.

    python benchmarks/bound_cost.py --net cnn3 --relaxation deeppoly --threads 1 --json
    python benchmarks/bound_cost.py --table docs/performance.md      # every net and relaxation: some ten minutes

forward: the bounds of all margins (nominal: the scores). train: loss, gradient and a step of Adam (nominal: the plain
cross-entropy). Images per second at the best of `--batches`, the fastest of many repetitions, nominal and robust in
turns so that a noisy machine treats them alike; weights as the Shi initialisation leaves them, random images. Bounds
that take much memory are measured at no larger batches than training would take.
forward_cost = nominal_forward_per_s / forward_per_s, and train_cost likewise.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from markdown import put, table
from torch import Tensor

from glscert.cli.memory import keep_freed_memory
from glscert.trainer.architectures import NETS, SOURCES, build
from glscert.trainer.chunks import images_kept
from glscert.trainer.initialisation import fast
from glscert.trainer.losses import nominal_cross_entropy, robust_cross_entropy
from glscert.trainer.objective import Objective
from glscert.verifier.bounds import ROWS_ONLY, linf_box, margin_spec
from glscert.verifier.ops import evaluate

TABLE_NETS = ("cnn3-tiny", "cnn3", "cnn5")


def measure(
    net: str, dataset: str, relaxation: str, eps: float, batches: list[int], seconds: float
) -> dict[str, object]:
    source = SOURCES[dataset]
    architecture = build(net, source)
    generator = torch.Generator().manual_seed(0)
    start = fast(architecture, generator)
    constants = {name: torch.from_numpy(value) for name, value in architecture.constants.items()}
    graph, bounds = architecture.graph, ROWS_ONLY[relaxation]
    best: dict[str, tuple[float, int]] = {}
    objective = Objective(graph, constants, relaxation, source.classes)
    most = images_kept(objective, architecture, torch.device("cpu"))
    for batch in sorted({*batches, min(most, max(batches))}):
        x = torch.rand(batch, *source.shape, generator=generator)
        y = torch.randint(0, source.classes, (batch,), generator=generator)
        box, spec = linf_box(x, eps, 0.0, 1.0), margin_spec(y, source.classes)

        def scores(params: dict[str, Tensor], x: Tensor = x) -> Tensor:
            return evaluate(graph, {**constants, **params}, x)

        def lower(params: dict[str, Tensor], box=box, spec=spec) -> Tensor:  # type: ignore[no-untyped-def]
            return bounds(graph, {**constants, **params}, box, spec).lower

        def nominal_loss(params: dict[str, Tensor], y: Tensor = y, scores=scores) -> Tensor:  # type: ignore[no-untyped-def]
            return nominal_cross_entropy(scores(params), y)

        def robust_loss(params: dict[str, Tensor], lower=lower) -> Tensor:  # type: ignore[no-untyped-def]
            return robust_cross_entropy(lower(params))

        tasks = {
            "nominal_forward": forward(scores, start),
            "nominal_train": train(nominal_loss, start),
        }
        if batch <= most:
            tasks |= {"forward": forward(lower, start), "train": train(robust_loss, start)}
        for name, took in fastest(tasks, seconds).items():
            best[name] = max(best.get(name, (0.0, 0)), (batch / took, batch))
    rates = {f"{name}_per_s": round(rate, 1) for name, (rate, _) in best.items()}
    return {
        "net": net,
        "dataset": dataset,
        "relaxation": relaxation,
        "eps": eps,
        **rates,
        "forward_cost": round(best["nominal_forward"][0] / best["forward"][0], 2),
        "train_cost": round(best["nominal_train"][0] / best["train"][0], 2),
        "batch": {name: batch for name, (_, batch) in best.items()},
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu": f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}",
    }


def forward(function: Callable[[dict[str, Tensor]], Tensor], params: dict[str, Tensor]) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            function(params)

    return run


def train(loss: Callable[[dict[str, Tensor]], Tensor], start: dict[str, Tensor]) -> Callable[[], None]:
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimiser = torch.optim.Adam(params.values(), lr=0.0)  # the weights stay as initialised

    def run() -> None:
        optimiser.zero_grad()
        loss(params).backward()
        optimiser.step()

    return run


def fastest(tasks: dict[str, Callable[[], None]], seconds: float) -> dict[str, float]:
    """The shortest time of each task over `seconds` of turns."""
    took = dict.fromkeys(tasks, float("inf"))
    for task in tasks.values():
        task()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            took[name] = min(took[name], time.perf_counter() - began)
    return took


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        told = []
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def all_costs(arguments: list[str]) -> str:
    """Every net and relaxation, each measured by this script in a process of its own with `arguments`."""
    lines: list[str] = []
    result: dict[str, Any] = {}
    columns = ("relaxation", "forward cost", "train cost", "bounds/s", "trained/s", "batch")
    for net in TABLE_NETS:
        rows = []
        for relaxation in ROWS_ONLY:
            print(f"{net} {relaxation}", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--net", net, "--relaxation", relaxation, "--json", *arguments]
            result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            costs = (f"{result['forward_cost']:.1f}", f"{result['train_cost']:.1f}")
            rates = (f"{result['forward_per_s']:,.0f}", f"{result['train_per_s']:,.0f}")
            rows.append((relaxation, *costs, *rates, str(result["batch"]["train"])))
        lines += [f"### {net}", "", *table(columns, rows, left=1)]
        rates = f"{result['nominal_forward_per_s']:,.0f} images/s forward, {result['nominal_train_per_s']:,.0f} trained"
        lines += ["", f"The plain network beside the last of these: {rates}.", ""]
    machine = f"{result['cpu']}; {result['threads']} thread(s); torch {result['torch']}; {result['dataset']}"
    return "\n".join([f"Measured on: {machine}, eps {result['eps']}.", "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=tuple(NETS), default="cnn3")
    parser.add_argument("--dataset", choices=tuple(SOURCES), default="mnist")
    parser.add_argument("--relaxation", choices=tuple(ROWS_ONLY), default="deeppoly")
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256, 512])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each batch size")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--table", type=Path, metavar="FILE", help="measure all, and write them into a Markdown file")
    args = parser.parse_args()
    if args.table is not None:
        passed = ["--dataset", args.dataset, "--eps", str(args.eps), "--threads", str(args.threads)]
        passed += ["--seconds", str(args.seconds), "--batches", *map(str, args.batches)]
        put(args.table, "bound_cost", "# Performance\n\n## What a bound costs", all_costs(passed))
        return
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    result = measure(args.net, args.dataset, args.relaxation, args.eps, args.batches, args.seconds)
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
