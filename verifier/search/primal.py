"""Where a bound is taken: the corner of the box that minimises the linear form of a back-substitution.

    bound = A · centre - |A| · radius + constant,   taken at  x = lower where A > 0, else upper

It solves the relaxation, not the network; where it breaks the network's row too, it is a counterexample.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..bounds.beta_crown import Cuts, Dual, dual_bound
from ..bounds.substitution import anchor
from ..graph import Graph
from ..ops import Box, evaluate
from .problem import Batch


def worst_corners(
    graph: Graph, work: Batch, pre: Mapping[str, Box], dual: Dual, cuts: Mapping[str, Cuts] | None
) -> tuple[Tensor, Tensor]:
    """The corners [D, *v] that give the bounds, and the network's own largest row there [D]."""
    known = work.base.boxes[graph.input]
    box = Box(*(end.detach().requires_grad_() for end in known))
    with torch.enable_grad():
        bound = dual_bound(graph, work.params, anchor(graph, work.params, box), work.spec, pre, dual, cuts)
        slopes = torch.autograd.grad(bound.sum(), box)
    corner = torch.where(slopes[0] + slopes[1] > 0, known.lower, known.upper)
    rows = (work.spec.rows * evaluate(graph, work.params, corner).unsqueeze(1)).sum(2) + work.spec.offset
    return corner, rows.amax(1)
