"""Pre-activation boxes as a verifier wants them: back-substitution for the unstable neurons only.

Where the interval image of a neuron's input already keeps one sign, its ReLU is exact and no tighter box would change
anything further on (`Function.unstable` says where). The rest get DeepPoly's bounds, intersected with the interval.
"""

from collections.abc import Callable, Mapping
from math import prod

import torch
from torch import Tensor

from ..bounds.backward import lower_bound
from ..bounds.errors import Errors
from ..bounds.extent import coefficients
from ..bounds.interval import exact_values, image, nonlinearities
from ..bounds.rows import Rows, rows_of
from ..bounds.substitution import Anchor, relax
from ..bounds.zonotope import Zonotope, input_zonotope, through
from ..graph import Graph
from ..ops import OPERATORS, Box, Lines, Nonlinear, Params
from ..ops.forms import neurons
from .cost import multiplications
from .memory import COPIES

_NEURONS = 64  # for each free input, from which zonotopes pay
_PART = 20_000_000_000  # multiplications between two looks at the clock, if every row went through the whole network
_FORMS = 1 << 28  # bytes of the forms that are alive together


def unstable_preactivations(
    graph: Graph,
    params: Params,
    base: Anchor,
    errors: Errors,
    *,
    memory: int = _FORMS,
    stop: Callable[[], bool] = lambda: False,
    signs: Mapping[str, Tensor] | None = None,
) -> dict[str, Box]:
    """The box [B, *v] of every nonlinearity's input, by value name, whatever rounded.

    errors: at the input; grown on the way up to the output. memory: bytes for the forms, which go a part of the neurons
    at a time. stop: asked before every part; once it says so, what is left keeps the interval image. signs
    [B, entries]: 1 where a nonlinearity's input is known to be never negative, -1 never positive, from a box around.
    """
    exact = exact_values(graph)
    boxes = dict(base.boxes)
    pre: dict[str, Box] = {}
    middle = base.boxes[graph.input]
    points = {graph.input: (middle.lower + middle.upper) / 2}
    forwards = _zonotopes(graph, base.boxes[graph.input], errors)
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        if isinstance(operator, Nonlinear) and node.inputs[0] not in pre:
            name = node.inputs[0]
            boxes[name] = errors.widened(name, boxes[name])
            if name not in exact:
                if forwards:
                    boxes[name] = _common(boxes[name], forwards[name].box())
                if signs is not None:
                    boxes[name] = _signed(boxes[name], signs[name])
                boxes[name] = _refined(
                    graph, params, base, name, operator, boxes[name], points[name], pre, memory, stop, errors
                )
            pre[name] = boxes[name]
        known = pre.get(node.inputs[0])
        errors.reach(node, known)
        if forwards:
            after = through(graph, params, node, forwards, known)
            forwards[node.output] = errors.beyond(node, [forwards[name] for name in node.inputs], after, known)
        points[node.output] = operator.forward(node, params, *(points[value] for value in node.inputs))
        if node.output not in boxes:
            boxes[node.output] = image(node, params, boxes)
    return pre


def _zonotopes(graph: Graph, box: Box, errors: Errors) -> dict[str, Zonotope]:
    """The input's, where it has so few free entries that going forwards first spares more than it costs; else none."""
    shapes = graph.shapes
    free = int(((box.upper - box.lower) / 2 > 0).flatten(1).any(0).sum())
    neurons = sum(prod(shapes[name]) for name in nonlinearities(graph))
    largest = max(prod(shape) for shape in shapes.values())
    if not 0 < free * _NEURONS <= neurons or len(box.lower) * free * largest * box.lower.element_size() > _FORMS:
        return {}
    return {graph.input: input_zonotope(box)._replace(deviation=errors.own[graph.input])}


def _signed(box: Box, signs: Tensor) -> Box:
    signs = signs.reshape(box.lower.shape)
    lower, upper = box
    return Box(torch.where(signs > 0, lower.clamp(min=0), lower), torch.where(signs < 0, upper.clamp(max=0), upper))


def _common(a: Box, b: Box) -> Box:
    return Box(torch.maximum(a.lower, b.lower), torch.minimum(a.upper, b.upper))


def _refined(
    graph: Graph,
    params: Params,
    base: Anchor,
    name: str,
    operator: Nonlinear,
    box: Box,
    likely: Tensor,
    pre: dict[str, Box],
    memory: int,
    stop: Callable[[], bool],
    errors: Errors,
) -> Box:
    lines = relax(graph, pre)
    program = rows_of(graph, params, next(iter(base.boxed))) if base.boxed else None
    if program is not None:
        return _compiled(graph, params, program, base, name, operator, box, likely, lines, stop, errors)
    index = _indices(operator.unstable(box).flatten(1))
    widest = coefficients(graph, params, name) // prod(graph.shapes[name])  # for both rows of a neuron
    size = max(1, memory // (COPIES * widest * len(index) * box.lower.element_size()))
    lower, upper = (end.flatten(1) for end in box)
    error = errors.whole[name].flatten(1)
    for part in index.split(size, dim=1):
        if part.shape[1] == 0 or stop():
            break
        form = neurons(graph.shapes[name], part, box.lower)
        rows = lower_bound(graph, params, name, form, lines, base.centres, base.radii)
        least, minus_most = (rows.unflatten(1, (-1, 2)) - error.gather(1, part).unsqueeze(2)).unbind(2)
        lower = lower.scatter_reduce(1, part, least, "amax")
        upper = upper.scatter_reduce(1, part, -minus_most, "amin")
    return Box(lower.reshape(box.lower.shape), upper.reshape(box.upper.shape))


def _compiled(
    graph: Graph,
    params: Params,
    program: Rows,
    base: Anchor,
    name: str,
    operator: Nonlinear,
    box: Box,
    likely: Tensor,
    lines: dict[str, Lines],
    stop: Callable[[], bool],
    errors: Errors,
) -> Box:
    """likely [B, *v]: values in the box; of a neuron that keeps its sign the bound on that side is all that matters."""
    unstable = operator.unstable(box).flatten(1)
    lower, upper = (end.flatten(1).clone() for end in box)
    size = min(4096, max(64, _PART // multiplications(graph, params)))
    for part in unstable.nonzero().split(size):
        at = part[:, 0], part[:, 1]
        sign = torch.where(likely.flatten(1)[at] > 0, 1.0, -1.0)
        for _ in range(2):
            if len(sign) == 0 or stop():
                break
            found = program.neuron_bounds(name, *at, sign, lines, base, errors)
            lower[at] = torch.where(sign > 0, torch.fmax(lower[at], found), lower[at])
            upper[at] = torch.where(sign < 0, torch.fmin(upper[at], -found), upper[at])
            rest = found < 0 if operator.kinked else torch.ones_like(found, dtype=torch.bool)
            at, sign = (at[0][rest], at[1][rest]), -sign[rest]
    return Box(lower.reshape(box.lower.shape), upper.reshape(box.upper.shape))


def _indices(unstable: Tensor) -> Tensor:
    """Flat indices [B, n] of each input's unstable neurons [B, entries]; shorter lists are filled with stable ones."""
    most = int(unstable.sum(1).max())
    return torch.sort(unstable.to(torch.uint8), dim=1, descending=True, stable=True).indices[:, :most]
