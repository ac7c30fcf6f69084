"""What a control variate does for PGPE, and antithetic noise for RGS: variances of their gradients, and loss for work.

    python benchmarks/control_variate.py --data-dir data --seconds 60 --settings 256:none 32:grad 32:rgs

On `--images` of MNIST's training images, from weights that `--start-epochs` of IBP over these gave. variance: of the
estimate of the gradient, summed over the parameters, and over the square of its mean, on one mini-batch. loss: of
`--held` test images after `--seconds` of CPU time of training, for each population:control; evaluations are images x
members, without what the control variate takes, which the seconds have.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glscert.cli.memory import keep_freed_memory
from glscert.trainer import resolve
from glscert.trainer.checkpoint import State
from glscert.trainer.evaluation import Params
from glscert.trainer.evolution import Evolution
from glscert.trainer.losses import robust_cross_entropy
from glscert.trainer.methods import METHODS, rgs
from glscert.trainer.minibatch import Minibatch
from glscert.trainer.plan import Plan
from glscert.trainer.population import Batch, Population
from glscert.trainer.randomness import stream
from glscert.trainer.setup import Setup, prepare
from glscert.trainer.updates import BUDGET, updates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--net", default="cnn3-tiny")
    parser.add_argument("--relaxation", default="deeppoly")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--held", type=int, default=1000)
    parser.add_argument("--start-epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of all that is drawn")
    parser.add_argument("--repeats", type=int, default=40, help="estimates that a variance is of; 0: none")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settings", nargs="*", default=["256:none", "64:rgs", "32:rgs", "16:rgs"])
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)

    def setup(method: str, options: dict[str, Any], **changes: Any) -> Setup:
        given = {"dataset": "mnist", "net": args.net, "eps": 0.1, "relaxation": args.relaxation, "batch": args.batch}
        config = resolve(
            {**given, "lr": args.lr, "anneal_end": 0.0, "seed": args.seed, "method": method, "options": options},
            changes,
        )
        made = prepare(config, args.data_dir)
        x, y = made.train_x[torch.arange(args.images)], made.train_y[: args.images]
        return replace(made, plan=Plan(config, args.images), train_x=x, train_y=y)

    with ThreadPoolExecutor(1) as pool:
        first = setup("grad", {}, relaxation="ibp", lr=5e-3, anneal_end=0.5, epochs=args.start_epochs)
        start = train(first, first.initial_params(), pool, lambda state, spent: state.step >= first.plan.steps).params
        report(start_loss=round(held_loss(setup("pgpe", {}), start, args.held), 4), start_steps=first.plan.steps)
        if args.repeats:
            variances(setup("pgpe", {}), start, pool, args.repeats)
        for population, control in (setting.split(":") for setting in args.settings):
            members = int(population)
            made = setup("pgpe", {"population": members, "control": control})
            began = time.process_time()
            state = train(made, start, pool, lambda state, spent: spent >= args.seconds)
            spent, evaluations = time.process_time() - began, state.step * args.batch * members
            loss = held_loss(made, state.params, args.held)
            work = {"steps": state.step, "evaluations": evaluations, "per_s": round(evaluations / spent)}
            report(population=members, control=control, loss=round(loss, 4), seconds=round(spent), **work)


def train(setup: Setup, params: Params, pool: ThreadPoolExecutor, done: Callable[[State, float], bool]) -> State:
    """Steps on random mini-batches until `done`, which is told the CPU seconds spent."""
    state, generator, began = State(params, {}), stream(setup.config.seed, "shuffle"), time.process_time()
    with updates(setup, state, pool, 0) as take:
        while not done(state, time.process_time() - began):
            chosen = torch.randint(len(setup.train_y), (setup.config.batch,), generator=generator)
            found = take(setup.train_x[chosen], setup.train_y[chosen])
            state.params, state.moments, state.step = found.params, found.moments, state.step + 1
    return state


def held_loss(setup: Setup, params: Params, images: int) -> float:
    """The mean robust cross-entropy of test images."""
    with torch.no_grad():
        parts = zip(setup.test_x[:images].split(100), setup.test_y[:images].split(100), strict=True)
        sums = [robust_cross_entropy(setup.objective.bounds(params, x, y, setup.config.eps).lower) for x, y in parts]
    return float(sum(sums)) / images


def variances(setup: Setup, params: Params, pool: ThreadPoolExecutor, repeats: int) -> None:
    """Of PGPE's estimate with a population of 32, and of RGS's with two samples and more."""
    config = setup.config
    x, y = setup.train_x[: config.batch], setup.train_y[: config.batch]
    evaluate = Minibatch(setup.objective, x, y, config.eps, setup.chunk, pool, kept=setup.kept)
    fitness = Population(setup.objective, setup.chunk, config.members, setup.device)
    fitness = fitness.within(BUDGET["cpu"], params, Batch(x, y, config.eps))
    for sigma in (1e-3, 1e-2):
        for control in ("none", "grad", "rgs"):
            options = METHODS["pgpe"].options(population=32, control=control, sigma=sigma, sigma_lr=0.0)
            search = Evolution(fitness, params, {}, members=fitness.members, pool=pool, **dict(options))

            def estimate(seed: int, search: Evolution = search, square: float = sigma**2) -> Tensor:
                search.step(Batch(x, y, config.eps), seed, 0.0, evaluate)
                return search.search.gradient / square

            _report_variance(estimate, repeats, pgpe=32, sigma=sigma, control=control)
        for antithetic in (False, True):
            for samples in (2, 4):
                chosen = rgs.Options(sigma=sigma, samples=samples, antithetic=antithetic)

                def smoothed(seed: int, chosen: rgs.Options = chosen) -> Tensor:
                    found = rgs.gradient(evaluate, params, torch.Generator().manual_seed(seed), chosen, 0)
                    return torch.cat([value.flatten() for value in found.gradient.values()])

                _report_variance(smoothed, repeats, rgs=samples, sigma=sigma, antithetic=antithetic)


def _report_variance(estimate: Callable[[int], Tensor], repeats: int, **what: object) -> None:
    found = torch.stack([estimate(seed) for seed in range(repeats)]).double()
    variance, square = float(found.var(0).sum()), float(found.mean(0).square().sum())
    report(**what, variance=f"{variance:.3g}", of_mean=f"{variance / square:.3g}")


def report(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
