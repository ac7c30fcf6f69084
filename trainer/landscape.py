"""The loss along one direction in weight space, as it is and smoothed by Gaussian noise on the weights.

    L_sigma(theta) = E L(theta + e),  e ~ N(0, sigma^2 I);    estimate  1/n sum_i (L(theta + e_i) + L(theta - e_i)) / 2

(Balauca et al., 2025, Sec. 3.2; Figures 3, 4, 6 and 8). Every point of a curve has noise of its own, as every step of
PGPE has, so that a small population shows as roughness; the first pairs of a larger population are the smaller one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from glscert.verifier.bounds.device import exact_float32, gets
from glscert.verifier.errors import GlscertError, InputError

from .evaluation import Params
from .minibatch import Minibatch
from .objective import Objective
from .population import Batch, Population
from .randomness import stream
from .setup import Setup

Losses = Callable[[Params], Tensor]  # of stacked parameters, each [P, *shape]: [P]
Tick = Callable[[float], None]
GROUP = 64  # pairs that are drawn at a time


class Curve(NamedTuple):
    """Mean loss and its standard error at every distance, for a sigma and a population; sigma 0: the loss itself."""

    sigma: float
    population: int
    loss: tuple[float, ...]
    error: tuple[float, ...]


def robust(objective: Objective, relaxation: str) -> Objective:
    """The objective with nothing but the robust loss in it, by `relaxation`; options only where it is its own."""
    options = objective.relaxation_options if relaxation == objective.relaxation else {}
    return replace(objective, relaxation=relaxation, relaxation_options=options, robust_weight=1.0)


def gradient_direction(objective: Objective, params: Params, batch: Batch, *, chunk: int, pool: Executor) -> Params:
    """The gradient of a batch's loss, scaled to length 1; chunks of so many images on the pool's threads.

    Raises GlscertError where the gradient is zero or no number.
    """
    with exact_float32(batch.x.device):
        found = Minibatch(objective, batch.x, batch.y, batch.eps, chunk, pool)(params).gradient
    length = float(torch.stack([g.square().sum() for g in found.values()]).sum().sqrt())
    if not 0 < length < float("inf"):
        raise GlscertError(f"the gradient of the loss has length {length}, which is no direction; take other images.")
    return {name: g / length for name, g in found.items()}


def batch_losses(setup: Setup, objective: Objective, params: Params, batch: Batch, pool: Executor) -> Losses:
    """The mean loss of a batch, of many weights such as `params` at once. Raises InputError: too little memory."""
    config, given = setup.config, gets(setup.device)
    population = Population(objective, setup.chunk, config.members or given.members, setup.device)
    fitted = population.within(config.memory_budget or given.budget, params, batch)
    return lambda stack: fitted(stack, batch, pool)[0]


def original(losses: Losses, params: Params, direction: Params, distances: Sequence[float]) -> Curve:
    """The loss at params + t direction for every t of `distances`."""
    t = torch.tensor(distances)
    stack = {name: p + _per_member(t.to(p), p) * direction[name] for name, p in params.items()}
    values = losses(stack).tolist()
    return Curve(0.0, 1, tuple(values), (0.0,) * len(values))


def smoothed(
    losses: Losses,
    params: Params,
    direction: Params,
    distances: Sequence[float],
    sigma: float,
    populations: Sequence[int],
    seed: int,
    tick: Tick = lambda amount: None,
) -> list[Curve]:
    """A curve for each of `populations`, even numbers from 4 up; `tick` hears of every distance."""
    if any(size < 4 or size % 2 for size in populations):
        raise InputError(f"a population must be an even number from 4 up, for pairs of noise; not {min(populations)}.")
    means: list[list[tuple[float, float]]] = [[] for _ in populations]
    for place, t in enumerate(distances):
        centre = {name: p + t * direction[name] for name, p in params.items()}
        pairs = _pair_means(losses, centre, sigma, max(populations) // 2, stream(seed, "landscape", place))
        for found, size in zip(means, populations, strict=True):
            taken = pairs[: size // 2]
            found.append((float(taken.mean()), float(taken.std() / len(taken) ** 0.5)))
        tick(1)
    return [
        Curve(sigma, size, *(tuple(column) for column in zip(*found, strict=True)))
        for size, found in zip(populations, means, strict=True)
    ]


def _pair_means(losses: Losses, centre: Params, sigma: float, pairs: int, generator: torch.Generator) -> Tensor:
    """(L(centre + e_i) + L(centre - e_i)) / 2 for `pairs` draws, float64 [pairs]."""
    found = []
    for first in range(0, pairs, GROUP):
        count = min(GROUP, pairs - first)
        noise = {n: sigma * torch.randn(count, *p.shape, generator=generator).to(p) for n, p in centre.items()}
        stack = {name: torch.cat([p + noise[name], p - noise[name]]) for name, p in centre.items()}
        found.append(losses(stack).double().cpu().reshape(2, count).mean(0))
    return torch.cat(found)


def _per_member(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * like.dim())
