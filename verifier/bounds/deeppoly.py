"""DeepPoly (Singh et al. 2019), alias CROWN (Zhang et al. 2018, arXiv:1811.00866)."""

from collections.abc import Mapping

from torch import Tensor

from ..graph import Graph
from ..ops import Box, Params
from .preactivations import preactivations
from .specification import Bounds, Spec
from .substitution import anchor, spec_bound


def deeppoly(
    graph: Graph,
    params: Params,
    box: Box,
    spec: Spec,
    *,
    slopes: Mapping[str, Tensor] | None = None,
    every_box: bool = True,
) -> Bounds:
    """Every pre-activation is back-substituted to the input.

    slopes: lower slopes [B, S, *v] of unstable neurons, by name of the nonlinearity's input; default: least area.
    every_box: False where only the rows count; neurons that are stable may then have wider boxes, with the same lines.
    """
    base = anchor(graph, params, box)
    pre, lines = preactivations(graph, params, base, slopes=slopes, every_box=every_box)
    return Bounds(spec_bound(graph, params, base, spec, lines), pre)
