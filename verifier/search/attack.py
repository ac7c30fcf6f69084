"""Descent in search of an input in a box or a ball that breaks what is asked of it.

In a box, projected signed gradients (Madry et al. 2018). In a ball cut to a box, Frank and Wolfe's steps (1956):
towards the point where the gradient's linear form is least, so that none leaves the set (Chen et al. 2020,
arXiv:1811.10828).
Candidates are found in torch and only proposed here; the caller replays them in onnxruntime on the original file.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .. import deadline
from ..bounds.ball import CutBall
from ..graph import Graph
from ..ops import Box, Params, evaluate
from ..spec.settle import Settler

# (outputs [b, K], which of the boxes they belong to [b]) -> margin [b], broken where negative, and what to descend [b]
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Related(NamedTuple):
    """Boxes [B, *v] cut by relations of inputs: settlers [B], None where there are none."""

    lower: Tensor
    upper: Tensor
    settlers: tuple[Settler | None, ...]


Region = Box | Related | CutBall


def pgd(
    graph: Graph,
    params: Params,
    region: Region,
    objective: Objective,
    *,
    steps: int,
    restarts: int,
    generator: torch.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Tensor, Tensor]:
    """The most damaging points found [B, *v] inside the region, up to rounding for a ball, and their margins [B].

    Steps shrink, from the centre and from random points, until the margin is negative or `stop` says so.
    """
    best = _centre(region)
    best_margin = torch.full_like(best.flatten(1)[:, 0], torch.inf)
    for restart in range(restarts):
        left = (~(best_margin < 0)).nonzero().flatten()
        if len(left) == 0 or (restart > 0 and stop()):
            break
        part = part_of(region, left)
        x = best[left] if restart == 0 else _random(part, generator)
        points, margin = _descend(graph, params, part, objective, left, x, steps)
        better = margin < best_margin[left]
        best[left[better]], best_margin[left[better]] = points[better], margin[better]
    return best, best_margin


def robustness(labels: Tensor, targets: Tensor | None = None) -> Objective:
    """Margins y_t - max_j y_j of labels [B]. targets [B]: the class whose lead is climbed, which often finds what the
    margin does not lead to (Gowal et al. 2019, arXiv:1910.09338); default: whichever leads.
    """

    def objective(logits: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        margin = _margin(logits, labels[which])
        return margin, margin if targets is None else _lead(logits, labels[which], targets[which])

    return objective


def weakest(values: Callable[[Tensor, Tensor], Tensor], targets: Tensor | None = None) -> Objective:
    """Margins min over m of values [b, M], of outputs and which of the boxes they belong to. targets [B]: as above."""

    def objective(outputs: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        found = values(outputs, which)
        margin = found.amin(1)
        return margin, margin if targets is None else found.gather(1, targets[which, None]).squeeze(1)

    return objective


def conjunction(rows: Tensor, offset: Tensor) -> Objective:
    """Margins max over m of row_m · y + offset_m, for rows [B, M, K]: all rows must become negative together.

    What is descended is the largest row and, so that the others are not forgotten, the sum of the positive ones.
    """

    def objective(outputs: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        values = (rows[which] * outputs.unsqueeze(1)).sum(-1) + offset[which]
        margin = values.amax(1)
        return margin, margin + torch.relu(values).sum(1)

    return objective


def _descend(
    graph: Graph, params: Params, region: Region, objective: Objective, which: Tensor, x: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """The best point on the way down from x, and its margin."""
    best, best_margin = x, torch.full_like(x.flatten(1)[:, 0], torch.inf)
    for step in range(steps + 1):
        deadline.check()
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            margin, aim = objective(evaluate(graph, params, x), which)
        better = margin.detach() < best_margin
        best = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), x.detach(), best)
        best_margin = torch.where(better, margin.detach(), best_margin)
        if step == steps or bool((best_margin < 0).all()):
            break
        (slope,) = torch.autograd.grad(aim.sum(), x)
        x = _stepped(region, x.detach(), slope, step, steps)
    return best, best_margin


def part_of(region: Region, index: Tensor | slice) -> Region:
    """The regions of these inputs."""
    if isinstance(region, CutBall):
        return region.each(lambda part: part[index])
    if isinstance(region, Related):
        kept = torch.arange(len(region.settlers))[index].tolist()
        return Related(region.lower[index], region.upper[index], tuple(region.settlers[row] for row in kept))
    return Box(region.lower[index], region.upper[index])


def _centre(region: Region) -> Tensor:
    if isinstance(region, CutBall):
        return region.centre.clone()
    return inside(region.lower + (region.upper - region.lower) / 2, region)


def _random(region: Region, generator: torch.Generator) -> Tensor:
    """Of a box, uniform; of a ball, on the way from its centre to where a random linear form is least."""
    if isinstance(region, CutBall):
        like = region.centre
        form = torch.randn(like.shape, generator=generator, dtype=like.dtype)
        share = torch.rand((len(like), *[1] * (like.dim() - 1)), generator=generator, dtype=like.dtype)
        return like + share * (region.lowest(form) - like)
    return inside(region.lower + (region.upper - region.lower) * _uniform(region.lower, generator), region)


def _stepped(region: Region, x: Tensor, slope: Tensor, step: int, steps: int) -> Tensor:
    """In a box by a quarter of its width, shrinking linearly; in a ball by 2 / (2 + step) of the way to its edge."""
    if isinstance(region, CutBall):
        return x + 2 / (step + 2) * (region.lowest(slope) - x)
    stride = (region.upper - region.lower) * (0.25 * (1 - step / steps) + 0.01)
    return inside(x - stride * slope.sign(), region)


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (chosen - others.amax(1, keepdim=True)).squeeze(1)


def _lead(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    return (logits.gather(1, labels[:, None]) - logits.gather(1, targets[:, None])).squeeze(1)


def inside(x: Tensor, box: Box | Related) -> Tensor:
    """Rounding alone may lead out of the box, and a step to where a relation of inputs does not hold."""
    x = torch.minimum(torch.maximum(x, box.lower), box.upper)
    if isinstance(box, Related):
        for settle in {each for each in box.settlers if each is not None}:
            rows = [row for row, each in enumerate(box.settlers) if each is settle]
            x[rows] = torch.from_numpy(settle(x[rows].flatten(1).numpy())).reshape(-1, *x.shape[1:])
    return x


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)
