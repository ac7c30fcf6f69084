"""Projected gradient descent (Madry et al. 2018) in search of an input in the box that breaks the label.

Candidates are found in torch and only proposed here; the caller replays them in onnxruntime on the original file.
"""

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import Box, Params, evaluate


def pgd(
    graph: Graph,
    params: Params,
    box: Box,
    labels: Tensor,
    *,
    targets: Tensor | None = None,
    steps: int,
    restarts: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The most damaging points found [B, *v] inside the box, and their margins y_t - max_j y_j [B].

    Signed gradient steps of a quarter of the box's width, shrinking linearly, from the centre and from random points,
    until the label loses. targets [B]: the class whose lead is climbed, which often finds what the margin does not
    lead to (Gowal et al. 2019, arXiv:1910.09338); default: whichever leads.
    """
    width = box.upper - box.lower
    best = _inside(box.lower + width / 2, box)
    best_margin = labels.new_full(labels.shape, torch.inf, dtype=width.dtype)
    for restart in range(restarts):
        left = (~(best_margin < 0)).nonzero().flatten()
        if len(left) == 0:
            break
        part = Box(box.lower[left], box.upper[left])
        x = best[left]
        if restart > 0:
            x = _inside(part.lower + width[left] * _uniform(x, generator), part)
        points, margin = _descend(
            graph, params, part, labels[left], None if targets is None else targets[left], x, steps
        )
        better = margin < best_margin[left]
        best[left[better]], best_margin[left[better]] = points[better], margin[better]
    return best, best_margin


def _descend(
    graph: Graph, params: Params, box: Box, labels: Tensor, targets: Tensor | None, x: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """The best point on the way down from x, and its margin."""
    width = box.upper - box.lower
    best, best_margin = x, torch.full_like(x.flatten(1)[:, 0], torch.inf)
    for step in range(steps + 1):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = evaluate(graph, params, x)
            margin = _margin(logits, labels)
            aim = margin if targets is None else _lead(logits, labels, targets)
        better = margin.detach() < best_margin
        best = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), x.detach(), best)
        best_margin = torch.where(better, margin.detach(), best_margin)
        if step == steps or bool((best_margin < 0).all()):
            break
        (slope,) = torch.autograd.grad(aim.sum(), x)
        stride = width * (0.25 * (1 - step / steps) + 0.01)
        x = _inside(x - stride * slope.sign(), box)
    return best, best_margin


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (chosen - others.amax(1, keepdim=True)).squeeze(1)


def _lead(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    return (logits.gather(1, labels[:, None]) - logits.gather(1, targets[:, None])).squeeze(1)


def _inside(x: Tensor, box: Box) -> Tensor:
    """Rounding alone may lead out of the box."""
    return torch.minimum(torch.maximum(x, box.lower), box.upper)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)
