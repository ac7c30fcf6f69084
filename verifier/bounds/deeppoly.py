"""DeepPoly (Singh et al. 2019), alias CROWN (Zhang et al. 2018, arXiv:1811.00866)."""

from collections.abc import Mapping

from torch import Tensor

from ..graph import Graph
from ..ops import Box, Params
from .interval import exact_values, nonlinearities
from .neurons import neuron_bounds
from .specification import Bounds, Spec
from .substitution import Anchor, anchor, relax, spec_bound


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
    pre = preactivations(graph, params, base, slopes=slopes, every_box=every_box)
    return Bounds(spec_bound(graph, params, base, spec, relax(graph, pre, slopes)), pre)


def preactivations(
    graph: Graph,
    params: Params,
    base: Anchor,
    *,
    slopes: Mapping[str, Tensor] | None = None,
    every_box: bool = True,
) -> dict[str, Box]:
    """DeepPoly's box of every nonlinearity's input, by value name; the interval image where that is exact.

    `every_box` as in `deeppoly`.
    """
    exact = exact_values(graph)
    pre: dict[str, Box] = {}
    for name, operator in nonlinearities(graph).items():
        if name in exact:
            pre[name] = base.boxes[name]
            continue
        lines = relax(graph, pre, slopes)
        until_stable = None if every_box or not operator.kinked else pre
        pre[name] = neuron_bounds(graph, params, base, name, lines, until_stable=until_stable)
    return pre
