"""CROWN-IBP (Zhang et al. 2020, arXiv:1906.06316)."""

from ..graph import Graph
from ..ops import Box, Params
from .interval import interval_boxes, nonlinear_inputs
from .specification import Bounds, Spec
from .substitution import anchor, relax, spec_bound


def crown_ibp(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """One back-substitution of the rows over IBP's pre-activation bounds."""
    boxes = interval_boxes(graph, params, box)
    pre = {name: boxes[name] for name in nonlinear_inputs(graph).values()}
    return Bounds(spec_bound(graph, params, anchor(graph, params, box), spec, relax(graph, pre)), pre)
