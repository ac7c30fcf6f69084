"""IBP, CROWN-IBP and DeepPoly: one function each, from (graph, params, box, spec) to `Bounds`.

All are pure and differentiable in params and box, and may run under `torch.func.vmap` over stacked params.
"""

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import OPERATORS, Affine, Box, Lines, Nonlinear, Params
from ..ops.forms import Form, identity, identity_bounds
from .backward import lower_bound
from .extent import coefficients
from .interval import affine_values, centre, entry_value, exact_values, interval_boxes, radius
from .specification import Bounds, Spec

_CACHE = 1 << 22  # bytes of one form, of the few that are alive together


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
    return Bounds(spec_bound(graph, params, anchor(graph, params, box), spec, relax(graph, pre)), pre)


def deeppoly(
    graph: Graph, params: Params, box: Box, spec: Spec, *, slopes: Mapping[str, Tensor] | None = None
) -> Bounds:
    """DeepPoly (Singh et al. 2019), alias CROWN: every pre-activation is back-substituted to the input.

    slopes: lower slopes [B, S, *v] of unstable neurons, by name of the nonlinearity's input; default: least area.
    """
    base = anchor(graph, params, box)
    pre = preactivations(graph, params, base, slopes=slopes)
    return Bounds(spec_bound(graph, params, base, spec, relax(graph, pre, slopes)), pre)


class Anchor(NamedTuple):
    """What back-substitution ends on: boxes of the values affine in the input, and the radius of the entry value."""

    boxes: dict[str, Box]
    centres: dict[str, Tensor]
    radii: dict[str, Tensor]


def anchor(graph: Graph, params: Params, box: Box) -> Anchor:
    boxes = interval_boxes(graph, params, box, affine_values(graph))
    entry = entry_value(graph)
    return Anchor(boxes, {name: centre(known) for name, known in boxes.items()}, {entry: radius(boxes[entry])})


def preactivations(
    graph: Graph, params: Params, base: Anchor, *, slopes: Mapping[str, Tensor] | None = None
) -> dict[str, Box]:
    """DeepPoly's box of every nonlinearity's input, by value name; the interval image where that is exact."""
    exact = exact_values(graph)
    pre: dict[str, Box] = {}
    for name in dict.fromkeys(_nonlinear(graph).values()):
        if name in exact:
            pre[name] = base.boxes[name]
            continue
        pre[name] = _neuron_bounds(graph, params, base, name, relax(graph, pre, slopes))
    return pre


def _neuron_bounds(graph: Graph, params: Params, base: Anchor, name: str, lines: Mapping[str, Lines]) -> Box:
    """Both bounds of every neuron of a value [B, *v].

    On a CPU a few inputs at a time, or a few channels of one input, so that the forms stay in cache.
    """
    shape, point = graph.shapes[name], base.centres[graph.input]
    total, channels = len(point), shape[0] if len(shape) == 3 else prod(shape)
    size, width = total, channels
    if point.device.type == "cpu":
        room = _CACHE // point.element_size() * channels // coefficients(graph, params, name)  # channels that fit
        size, width = min(total, max(1, room // channels)), min(channels, max(1, room))
    cuts = [_tiles(values, size, total) for values in (lines, base.centres, base.radii)]
    tiles = []
    for parts in zip(*cuts, strict=True):
        starts = [identity(shape, point, slice(first, first + width)) for first in range(0, channels, width)]
        bounds = [identity_bounds(lower_bound(graph, params, name, start, *parts), shape) for start in starts]
        tiles.append(tuple(torch.cat(ends, 1) if len(ends) > 1 else ends[0] for ends in zip(*bounds, strict=True)))
    lower, upper = (torch.cat(ends) if len(ends) > 1 else ends[0] for ends in zip(*tiles, strict=True))
    return Box(lower.reshape(total, *shape), upper.reshape(total, *shape))


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
    base: Anchor,
    spec: Spec,
    lines: Mapping[str, Lines],
    multipliers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Lower bounds [B, M] of the specification rows by one back-substitution."""
    bound = lower_bound(graph, params, graph.output, _rows(spec), lines, base.centres, base.radii, multipliers)
    return bound + spec.offset


def _tiles(values: Mapping[str, Any], size: int, total: int) -> list[dict[str, Any]]:
    """Tensors, or tuples of them, cut along the batch axis."""

    def cut(value: Any, first: int) -> Any:
        if isinstance(value, Lines):
            return Lines._make(None if part is None else part[first : first + size] for part in value)
        return value[first : first + size]

    return [{name: cut(value, first) for name, value in values.items()} for first in range(0, total, size)]


def _rows(spec: Spec) -> Form:
    return Form(spec.rows.unsqueeze(1))


def _nonlinear(graph: Graph) -> dict[str, str]:
    """Output name -> input name of every nonlinearity."""
    return {node.output: node.inputs[0] for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)}
