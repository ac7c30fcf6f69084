"""Projected gradient descent (Madry et al. 2018) in search of an input in the box that breaks what is asked of it.

Candidates are found in torch and only proposed here; the caller replays them in onnxruntime on the original file.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import Box, Params, evaluate

# (outputs [b, K], which of the boxes they belong to [b]) -> margin [b], broken where negative, and what to descend [b]
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def pgd(
    graph: Graph,
    params: Params,
    box: Box,
    objective: Objective,
    *,
    steps: int,
    restarts: int,
    generator: torch.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Tensor, Tensor]:
    """The most damaging points found [B, *v] inside the box, and their margins [B].

    Signed gradient steps of a quarter of the box's width, shrinking linearly, from the centre and from random points,
    until the margin is negative or `stop` says so.
    """
    width = box.upper - box.lower
    best = inside(box.lower + width / 2, box)
    best_margin = torch.full_like(best.flatten(1)[:, 0], torch.inf)
    for restart in range(restarts):
        left = (~(best_margin < 0)).nonzero().flatten()
        if len(left) == 0 or (restart > 0 and stop()):
            break
        part = Box(box.lower[left], box.upper[left])
        x = best[left]
        if restart > 0:
            x = inside(part.lower + width[left] * _uniform(x, generator), part)
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
    graph: Graph, params: Params, box: Box, objective: Objective, which: Tensor, x: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """The best point on the way down from x, and its margin."""
    width = box.upper - box.lower
    best, best_margin = x, torch.full_like(x.flatten(1)[:, 0], torch.inf)
    for step in range(steps + 1):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            margin, aim = objective(evaluate(graph, params, x), which)
        better = margin.detach() < best_margin
        best = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), x.detach(), best)
        best_margin = torch.where(better, margin.detach(), best_margin)
        if step == steps or bool((best_margin < 0).all()):
            break
        (slope,) = torch.autograd.grad(aim.sum(), x)
        stride = width * (0.25 * (1 - step / steps) + 0.01)
        x = inside(x - stride * slope.sign(), box)
    return best, best_margin


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (chosen - others.amax(1, keepdim=True)).squeeze(1)


def _lead(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    return (logits.gather(1, labels[:, None]) - logits.gather(1, targets[:, None])).squeeze(1)


def inside(x: Tensor, box: Box) -> Tensor:
    """Rounding alone may lead out of the box."""
    return torch.minimum(torch.maximum(x, box.lower), box.upper)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)
