"""IBP, CROWN-IBP and DeepPoly: one function each, from (graph, params, box, spec) to `Bounds`.

All are pure and differentiable in params and box, and may run under `torch.func.vmap` over stacked params.
"""

from collections.abc import Mapping

from torch import Tensor

from ..graph import Graph
from ..ops import OPERATORS, Affine, Box, Lines, Nonlinear, Params
from ..ops.forms import Form, identity, identity_bounds
from .backward import lower_bound
from .interval import affine_values, centre, exact_values, interval_boxes, radius
from .specification import Bounds, Spec


def ibp(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """Interval bound propagation (Gowal et al. 2018); the rows are merged with the last affine layers."""
    boxes = interval_boxes(graph, params, box)
    nonlinear = _nonlinear(graph)
    known = {output: boxes[output] for output in nonlinear} | {graph.input: box}
    centres = {name: centre(known[name]) for name in known}
    radii = {name: radius(known[name]) for name in known}
    lower = lower_bound(graph, params, graph.output, _rows(spec), {}, centres, radii) + spec.offset
    return Bounds(lower, {name: boxes[name] for name in nonlinear.values()})


def crown_ibp(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """One back-substitution of the rows over IBP's pre-activation bounds (Zhang et al. 2020)."""
    boxes = interval_boxes(graph, params, box)
    pre = {name: boxes[name] for name in _nonlinear(graph).values()}
    return Bounds(spec_bound(graph, params, box, spec, relax(graph, pre)), pre)


def deeppoly(graph: Graph, params: Params, box: Box, spec: Spec, *, slopes: Mapping[str, Tensor] | None = None) -> Bounds:
    """DeepPoly (Singh et al. 2019), alias CROWN: every pre-activation is back-substituted to the input.

    slopes: lower slopes [B, S, *v] of unstable neurons, by name of the nonlinearity's input; default: least area.
    """
    pre = preactivations(graph, params, box, slopes=slopes)
    return Bounds(spec_bound(graph, params, box, spec, relax(graph, pre, slopes)), pre)


def preactivations(
    graph: Graph, params: Params, box: Box, *, slopes: Mapping[str, Tensor] | None = None
) -> dict[str, Box]:
    """DeepPoly's box of every nonlinearity's input, by value name; exact where the value is affine in the input."""
    affine, exact = affine_values(graph), exact_values(graph)
    first = interval_boxes(graph, params, box, affine)
    centres = {name: centre(first[name]) for name in affine}
    radii = {graph.input: radius(box)}
    pre: dict[str, Box] = {}
    for name in dict.fromkeys(_nonlinear(graph).values()):
        if name in exact:
            pre[name] = first[name]
            continue
        rows = identity(graph.shapes[name], box.lower)
        bound = lower_bound(graph, params, name, rows, relax(graph, pre, slopes), centres, radii)
        pre[name] = Box(*identity_bounds(bound, graph.shapes[name]))
    return pre


def relax(graph: Graph, pre: Mapping[str, Box], slopes: Mapping[str, Tensor] | None = None) -> dict[str, Lines]:
    """Lines of every nonlinearity whose input box is known, by name of that input."""
    lines = {}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        if isinstance(operator, Nonlinear) and node.inputs[0] in pre:
            name = node.inputs[0]
            lines[name] = operator.lines(pre[name], slopes.get(name) if slopes else None)
    return lines


def spec_bound(
    graph: Graph,
    params: Params,
    box: Box,
    spec: Spec,
    lines: Mapping[str, Lines],
    multipliers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Lower bounds [B, M] of the specification rows by one back-substitution."""
    boxes = interval_boxes(graph, params, box, affine_values(graph))
    centres = {name: centre(known) for name, known in boxes.items()}
    radii = {graph.input: radius(box)}
    return lower_bound(graph, params, graph.output, _rows(spec), lines, centres, radii, multipliers) + spec.offset


def _rows(spec: Spec) -> Form:
    return Form(spec.rows.unsqueeze(1))


def _nonlinear(graph: Graph) -> dict[str, str]:
    """Output name -> input name of every nonlinearity."""
    return {node.output: node.inputs[0] for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)}
