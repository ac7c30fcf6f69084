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
    steps: int,
    restarts: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The most damaging points found [B, *v] inside the box, and their margins y_t - max_j y_j [B].

    Signed gradient steps of a quarter of the box's width, shrinking linearly, from the centre and from random points.
    """
    width = box.upper - box.lower
    best, best_margin = _inside(box.lower + width / 2, box), labels.new_full(labels.shape, torch.inf, dtype=width.dtype)
    for restart in range(restarts):
        x = best if restart == 0 else _inside(box.lower + width * _uniform(width, generator), box)
        for step in range(steps + 1):
            x = x.detach().requires_grad_()
            with torch.enable_grad():
                margin = _margin(evaluate(graph, params, x), labels)
            better = margin.detach() < best_margin
            best = torch.where(_like(better, x), x.detach(), best)
            best_margin = torch.where(better, margin.detach(), best_margin)
            if step == steps or bool((best_margin < 0).all()):
                break
            (slope,) = torch.autograd.grad(margin.sum(), x)
            stride = width * (0.25 * (1 - step / steps) + 0.01)
            x = _inside(x - stride * slope.sign(), box)
        if bool((best_margin < 0).all()):
            break
    return best, best_margin


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (chosen - others.amax(1, keepdim=True)).squeeze(1)


def _inside(x: Tensor, box: Box) -> Tensor:
    """Rounding alone may lead out of the box."""
    return torch.minimum(torch.maximum(x, box.lower), box.upper)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def _like(mask: Tensor, value: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (value.dim() - 1))
