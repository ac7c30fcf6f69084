"""Descent in search of an input in a box or a ball that breaks what is asked of it.

In a box, projected signed gradients (Madry et al. 2018). In a ball cut to a box, Frank and Wolfe's steps (1956):
towards the point where the gradient's linear form is least, so that none leaves the set (Chen et al. 2020,
arXiv:1811.10828).
Candidates are only proposed here; the caller replays them in onnxruntime on the original file.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import numpy as np

from .. import deadline
from ..engine.ball import CutBall
from ..engine.engine import Engine
from ..engine.gradient import outputs_and_gradient
from ..engine.plan import Array
from ..functions import Box
from ..spec.settle import Settler

# (outputs [b, K], which of the boxes they belong to [b]) -> margin [b], broken where negative, and the gradient by the
# outputs [b, K] of what to descend
Objective = Callable[[Array, Array], tuple[Array, Array]]


class Related(NamedTuple):
    """Boxes [B, n] cut by relations of inputs: settlers [B], None where there are none."""

    lower: Array
    upper: Array
    settlers: tuple[Settler | None, ...]


Region = Box | Related | CutBall


def pgd(
    engine: Engine,
    region: Region,
    objective: Objective,
    *,
    steps: int,
    restarts: int,
    generator: np.random.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Array, Array]:
    """The most damaging points found [B, n] inside the region, up to rounding for a ball, and their margins [B].

    Steps shrink, from the centre and from random points, until the margin is negative or `stop` says so.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        best = _centre(region)
        best_margin = np.full(len(best), inf, best.dtype)
        for restart in range(restarts):
            left = np.flatnonzero(~(best_margin < 0))
            if len(left) == 0 or (restart > 0 and stop()):
                break
            part = part_of(region, left)
            x = best[left] if restart == 0 else _random(part, generator)
            points, margin = _descend(engine, part, objective, left, x, steps)
            better = margin < best_margin[left]
            best[left[better]], best_margin[left[better]] = points[better], margin[better]
    return best, best_margin


def disjunction(rows: Array, offset: Array, aims: Array) -> Objective:
    """Margins min over c of max over m of row_cm · y + offset_cm, for rows [B, C, M, K]: all rows of one clause must
    become negative together.

    aims [B]: the clause that is descended, which often finds what the least does not lead to (Gowal et al. 2019,
    arXiv:1910.09338); -1: whichever is least. Of its rows the largest goes down and, so that the others are not
    forgotten, the sum of the positive ones.
    """

    def objective(outputs: Array, which: Array) -> tuple[Array, Array]:
        own, every = rows[which], np.arange(len(which))
        values = np.einsum("bcmk,bk->bcm", own, outputs) + offset[which]
        margins = values.max(2)
        aim = np.where(aims[which] < 0, margins.argmin(1), aims[which])
        chosen = values[every, aim]
        share = (chosen > 0).astype(own.dtype)
        share[every, chosen.argmax(1)] += 1
        return margins.min(1), np.einsum("bm,bmk->bk", share, own[every, aim])

    return objective


def _descend(
    engine: Engine, region: Region, objective: Objective, which: Array, x: Array, steps: int
) -> tuple[Array, Array]:
    """The best point on the way down from x, and its margin."""
    best, best_margin = x, np.full(len(x), inf, x.dtype)
    for step in range(steps + 1):
        deadline.check()
        outputs, pull = outputs_and_gradient(engine, x)
        margin, aim = objective(outputs, which)
        better = margin < best_margin
        best = np.where(better[:, None], x, best)
        best_margin = np.where(better, margin, best_margin)
        if step == steps or (best_margin < 0).all():
            break
        x = _stepped(region, x, pull(aim), step, steps)
    return best, best_margin


def part_of(region: Region, index: Array | slice) -> Region:
    """The regions of these inputs."""
    if isinstance(region, CutBall):
        return region.take(index)
    if isinstance(region, Related):
        kept = np.arange(len(region.settlers))[index].tolist()
        return Related(region.lower[index], region.upper[index], tuple(region.settlers[row] for row in kept))
    return Box(region.lower[index], region.upper[index])


def _centre(region: Region) -> Array:
    if isinstance(region, CutBall):
        return region.centre.copy()
    return inside(region.lower + (region.upper - region.lower) / 2, region)


def _random(region: Region, generator: np.random.Generator) -> Array:
    """Of a box, uniform; of a ball, on the way from its centre to where a random linear form is least."""
    if isinstance(region, CutBall):
        like = region.centre
        form = generator.standard_normal(like.shape, like.dtype)
        share = generator.random((len(like), 1), like.dtype)
        return like + share * (region.lowest(form) - like)
    share = generator.random(region.lower.shape, region.lower.dtype)
    return inside(region.lower + (region.upper - region.lower) * share, region)


def _stepped(region: Region, x: Array, slope: Array, step: int, steps: int) -> Array:
    """In a box by a quarter of its width, shrinking linearly; in a ball by 2 / (2 + step) of the way to its edge."""
    if isinstance(region, CutBall):
        return x + 2 / (step + 2) * (region.lowest(slope) - x)
    stride = (region.upper - region.lower) * (0.25 * (1 - step / steps) + 0.01)
    return inside(x - stride * np.sign(slope), region)


def inside(x: Array, box: Box | Related) -> Array:
    """Rounding alone may lead out of the box, and a step to where a relation of inputs does not hold."""
    x = np.minimum(np.maximum(x, box.lower), box.upper)
    if isinstance(box, Related):
        for settle in {each for each in box.settlers if each is not None}:
            rows = [row for row, each in enumerate(box.settlers) if each is settle]
            x[rows] = settle(x[rows])
    return x
