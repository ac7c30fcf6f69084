"""CROWN-IBP (Zhang et al. 2020, arXiv:1906.06316)."""

from ..graph import Graph
from ..ops import Box, Params
from .interval import Intervals, affine_values, below_nonlinear, nonlinear_inputs
from .specification import Bounds, Spec
from .substitution import anchor_at, relax, spec_bound


def crown_ibp(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """One back-substitution of the rows over IBP's pre-activation bounds."""
    known = Intervals(graph, params, box, below_nonlinear(graph) | affine_values(graph))
    pre = {name: known.box(name) for name in nonlinear_inputs(graph).values()}
    return Bounds(spec_bound(graph, params, anchor_at(graph, known), spec, relax(graph, pre)), pre)
