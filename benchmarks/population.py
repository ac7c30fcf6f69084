"""How fast PGPE evaluates a population, against the engine's best rate for single networks, both in one run.

    python benchmarks/population.py --net cnn3 --relaxation deeppoly --threads 1 --json

population: whole generations of evotorch's PGPE (sampling, bounds and losses of images x members, update), of one part
of the population for each thread, the part as large as `--members`, `--images` and `--memory-budget` allow. single and
nominal: bounds, or scores, of one network, at the best of `--batches`, as many evaluations as a generation has.
Evaluations per second from the fastest of many repetitions, in turns, so that a noisy machine treats all alike; weights
as the Shi initialisation leaves them, random images. Memory: `part_mib` is what the tensors of a part take (the budget
is for this), `rss_*` are the process's before and after the first generation, or the device's peak on cuda.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from glscert.cli.memory import keep_freed_memory
from glscert.trainer.architectures import NETS, SOURCES, build
from glscert.trainer.evolution import Evolution
from glscert.trainer.fused import recognised
from glscert.trainer.initialisation import fast
from glscert.trainer.memory import peak_bytes
from glscert.trainer.methods.pgpe import Options
from glscert.trainer.objective import Objective
from glscert.trainer.population import MEBIBYTE, Batch, Population
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.bounds.device import exact_float32, gets

EPOCH = 60_000 * 256  # evaluations: MNIST's training images and the paper's population


class Task(NamedTuple):
    evaluations: int  # images x members, in one run
    run: Callable[[], object]


def measure(args: argparse.Namespace) -> dict[str, object]:
    source, device = SOURCES[args.dataset], torch.device(args.device)
    net = build(args.net, source)
    generator = torch.Generator().manual_seed(0)
    params = {name: value.to(device) for name, value in fast(net, generator).items()}
    constants = {name: torch.from_numpy(value).to(device) for name, value in net.constants.items()}
    network = recognised(net.graph, net.parameters, net.constants)
    objective = Objective(net.graph, constants, args.relaxation, source.classes, network=network)
    longest = max(args.images, *args.batches)
    x = torch.rand(longest, *source.shape, generator=generator).to(device)
    y = torch.randint(0, source.classes, (longest,), generator=generator).to(device)
    before = resident_mib(device)
    budget = args.memory_budget or gets(device).budget
    fitness = Population(objective, args.images, args.members, device)
    fitness = fitness.within(budget, params, Batch(x, y, args.eps))
    images, members = fitness.images, fitness.members
    population = members * args.threads
    batch = Batch(x[:images], y[:images], args.eps)
    stack = {name: value.expand(members, *value.shape).clone() for name, value in params.items()}
    part = peak_bytes(lambda: fitness(stack, batch))
    with exact_float32(device), ThreadPoolExecutor(args.threads) as pool:
        options = Options(population=population, symmetric=population % 2 == 0)
        search = Evolution(fitness, params, {}, members=members, pool=pool, **dict(options))

        def repeated(function: Callable[[int], Tensor], count: int) -> Task:
            """`function` of `count` images as often as makes up a generation, shared among the threads."""
            times = max(1, round(members * images / count))

            def one(_: int) -> float:
                with torch.no_grad():
                    return float(sum(function(count).sum() for _ in range(times)))

            return Task(times * count * args.threads, lambda: list(pool.map(one, range(args.threads))))

        def bounds(count: int) -> Tensor:
            return objective.robust_loss(params, x[:count], y[:count], args.eps, every_box=False).terms

        def scores(count: int) -> Tensor:
            return objective.scores(params, x[:count])

        generation = Task(population * images, lambda: search.step(batch, 0, 0.0))
        generation.run()
        after = resident_mib(device)
        tasks = {("population", images): generation}
        for count in args.batches:
            tasks["single", count], tasks["nominal", count] = repeated(bounds, count), repeated(scores, count)
        rates = fastest(tasks, args.seconds)
    best = {
        name: max((value, count) for (task, count), value in rates.items() if task == name)
        for name in ("population", "single", "nominal")
    }
    rate = best["population"][0]
    return {
        "net": args.net,
        "dataset": args.dataset,
        "relaxation": args.relaxation,
        "eps": args.eps,
        **{f"{name}_per_s": round(value, 1) for name, (value, _) in best.items()},
        "of_single": round(rate / best["single"][0], 3),
        "nominal_over_population": round(best["nominal"][0] / rate, 1),
        "epoch_seconds": round(EPOCH / rate, 1),
        "images": images,
        "members": members,
        "batch": {name: count for name, (_, count) in best.items() if name != "population"},
        "memory_budget_mib": budget,
        "part_mib": round(part / MEBIBYTE, 1),
        "rss_before_mib": before,
        "rss_after_mib": after,
        "threads": args.threads,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def fastest(tasks: dict[tuple[str, int], Task], seconds: float) -> dict[tuple[str, int], float]:
    """The best rate of each task, evaluations per second, over `seconds` of turns, at least three."""
    rates = dict.fromkeys(tasks, 0.0)
    end, turns = time.perf_counter() + seconds, 0
    while turns < 3 or time.perf_counter() < end:
        for name, task in tasks.items():
            began = time.perf_counter()
            task.run()
            rates[name] = max(rates[name], task.evaluations / (time.perf_counter() - began))
        turns += 1
    return rates


def resident_mib(device: torch.device) -> int:
    """The most this process has held so far, in MiB; on cuda the device's share."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() // MEBIBYTE
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // MEBIBYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=tuple(NETS), default="cnn3")
    parser.add_argument("--dataset", choices=tuple(SOURCES), default="mnist")
    parser.add_argument("--relaxation", choices=tuple(RELAXATIONS), default="deeppoly")
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--members", type=int, default=32, help="at most, in a part of the population")
    parser.add_argument("--images", type=int, default=32, help="at most, in a part of the mini-batch")
    parser.add_argument("--memory-budget", type=float, help="MiB for a part; default 128, on cuda 4096")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)  # the threads share the parts, as in training
    result = measure(args)
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
