"""IBP: interval bound propagation (Gowal et al. 2018, arXiv:1810.12715)."""

from collections.abc import Mapping

from ..graph import Graph
from ..ops import Box, Params
from .backward import lower_bound
from .interval import centre, interval_boxes, nonlinear_inputs, radius
from .specification import Bounds, Spec
from .substitution import spec_rows


def ibp(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """Every value's box from the boxes before it; the rows are merged with the last affine layers."""
    return ibp_from_boxes(graph, params, interval_boxes(graph, params, box), spec)


def ibp_from_boxes(graph: Graph, params: Params, boxes: Mapping[str, Box], spec: Spec) -> Bounds:
    """The same from the boxes [B, *v] of all values, by name."""
    nonlinear = nonlinear_inputs(graph)
    known = {output: boxes[output] for output in nonlinear} | {graph.input: boxes[graph.input]}
    centres = {name: centre(known[name]) for name in known}
    radii = {name: radius(known[name]) for name in known}
    lower = lower_bound(graph, params, graph.output, spec_rows(spec), {}, centres, radii) + spec.offset
    return Bounds(lower, {name: boxes[name] for name in nonlinear.values()})
