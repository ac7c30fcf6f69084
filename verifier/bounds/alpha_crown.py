"""α-CROWN for training: lower slopes by a few signed gradient steps (Xu et al. 2021, arXiv:2011.13824).

    slopes start at 1/2;   slope <- slope + step · sign(d bound / d slope), kept within [0, 1]

With one step of 1/2 every slope ends at 0 or 1: the form of Balauca et al. (TMLR 2025, App. E). The paper leaves open
whose gradient it is; here each specification row has slopes of its own and climbs its own lower bound, over the
pre-activation boxes of DeepPoly, which stay as they are. So the cost over DeepPoly is that of a few more
back-substitutions of the rows alone.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad

from ..graph import Graph
from ..ops import Box, Params
from .preactivations import preactivations
from .specification import Bounds, Spec
from .substitution import Anchor, anchor, relax, spec_bound


def alpha_crown(
    graph: Graph,
    params: Params,
    box: Box,
    spec: Spec,
    *,
    steps: int = 1,
    step_size: float = 0.5,
    every_box: bool = True,
) -> Bounds:
    """The rows over the slopes after `steps` steps, the first of `step_size`, shrinking linearly towards 0.

    The slopes are constants for autograd, like DeepPoly's. Nothing is said of the order between the two: the best
    slope for a row's gradient at 1/2 need not be the best at the end. `every_box` as in `deeppoly`.
    """
    base = anchor(graph, params, box)
    pre, _ = preactivations(graph, params, base, every_box=every_box)
    slopes = climb(graph, params, base, spec, pre, steps=steps, step_size=step_size)
    return Bounds(spec_bound(graph, params, base, spec, relax(graph, pre, slopes)), pre)


def climb(
    graph: Graph, params: Params, base: Anchor, spec: Spec, pre: Mapping[str, Box], *, steps: int, step_size: float
) -> dict[str, Tensor]:
    """Slopes [B, M, *v] by name of the nonlinearity's input. A slope that a row does not feel takes the step down."""
    params = {name: value.detach() for name, value in params.items()}
    base = base.each(Tensor.detach)
    pre = {name: _detached(box) for name, box in pre.items()}
    spec = Spec(spec.rows.detach(), spec.offset.detach())

    def total(slopes: dict[str, Tensor]) -> Tensor:
        return spec_bound(graph, params, base, spec, relax(graph, pre, slopes)).sum()

    rows = spec.rows.shape[1]
    slopes = {
        name: torch.full_like(box.lower, 0.5).unsqueeze(1).expand(-1, rows, *box.lower.shape[1:])
        for name, box in pre.items()
    }
    for step in range(steps):
        size = step_size * (1 - step / steps)
        slopes = {
            name: (slopes[name] + size * (2.0 * (slope > 0) - 1)).clamp(0, 1)
            for name, slope in grad(total)(slopes).items()
        }
    return slopes


def _detached(box: Box) -> Box:
    return Box(box.lower.detach(), box.upper.detach())
