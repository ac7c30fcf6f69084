"""IBP: interval bound propagation (Gowal et al. 2018, arXiv:1810.12715)."""

from collections.abc import Mapping

from ..graph import Graph
from ..ops import OPERATORS, Box, Params
from .backward import lower_bound
from .interval import Intervals, affine_tail, ball, below_nonlinear, nonlinear_inputs
from .specification import Bounds, Spec
from .substitution import spec_rows


def ibp(graph: Graph, params: Params, box: Box, spec: Spec, *, boxes: Mapping[str, Box] | None = None) -> Bounds:
    """Every value's box from the boxes before it; the rows are merged with the last affine layers.

    boxes: of values that are known better already.
    """
    needed = below_nonlinear(graph)
    known = Intervals(graph, params, box, needed, boxes)
    return ibp_from_boxes(graph, params, {name: known.box(name) for name in needed | {graph.input}}, spec)


def ibp_from_boxes(graph: Graph, params: Params, boxes: Mapping[str, Box], spec: Spec) -> Bounds:
    """The same from the boxes [B, *v] of the nonlinearities' inputs and outputs and of the network's input."""
    ends, tail = affine_tail(graph)
    balls = {name: ball(boxes[name]) for name in ends}
    centres = {name: end.centre for name, end in balls.items()}
    for node in tail:
        centres[node.output] = OPERATORS[node.op].forward(node, params, *(centres[name] for name in node.inputs))
    radii = {name: end.radius for name, end in balls.items()}
    lower = lower_bound(graph, params, graph.output, spec_rows(spec), {}, centres, radii) + spec.offset
    return Bounds(lower, {name: boxes[name] for name in nonlinear_inputs(graph).values()})
