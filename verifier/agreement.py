"""Whether a loaded graph computes what onnxruntime computes on the file, at a few points: a translation that nobody has
seen agree is not trusted.

The graph is evaluated in float64, onnxruntime in the file's type, and so they differ by rounding, which a network may
magnify. How far is measured: each step of the graph is disturbed at random, a few times, by as much as it may round,

    e = u · min(n, 2 √n) · (|W| |v| + |b|)          affine, of n terms (u = 2^-24 for float32)
    e = 8 u · (|f(z)| + min(1, |z|))                a curve; a corner, as of Relu, is exact

and outputs may differ by 8 times the furthest that they moved, and 4 u of themselves. That is enough: a sum's roundings
have mixed signs, or cancel in blocks; and it does not grow with depth beyond what the network does to errors. Points at
which a step leaves the numbers that the type can hold say nothing.
"""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .bounds.errors import summed
from .errors import UnsupportedError
from .graph import Graph, Node
from .graph.load import Translated, translated
from .ops import OPERATORS, Affine, Params
from .replay import Runtime

_DISTURBED, _FACTOR = 4, 8.0
_STILL = ("Flatten", "Gather", "Pad", "Reshape", "Transpose")  # every number stays


class Span(NamedTuple):
    """What a value is at P points, and how far rounding may carry it: each [P, *v]."""

    value: Tensor
    room: Tensor


def check(graph: Graph, params: Params, runtime: Runtime, x: np.ndarray) -> None:
    """Raises `UnsupportedError` where the graph's values at inputs x [P, *v] are not those of the file, with the node
    where the difference begins. params: in float64."""
    reading = runtime.reading
    span = _spans(graph, params, x, _unit(runtime), [graph.output])[graph.output]
    told = [_row(runtime, [port.name for port in reading.logits], point, graph.ending is not None) for point in x]
    first = 0
    for place, port in enumerate(reading.logits):
        part = Span(*(each[:, first : first + port.size] for each in span))
        found = _differs(port.dims, [outputs[place] for outputs in told], part)
        if found is not None:
            where = _begins(runtime, x) or f"in the output {port.name!r} {found}"
            raise UnsupportedError(
                f"{runtime.file.path}: glscert does not read this network as onnxruntime does, so it can say nothing "
                f"about it: {where}. Export it with another opset or other operators, and report the file."
            )
        first += port.size


def _row(runtime: Runtime, names: list[str], x: np.ndarray, inside: bool) -> list[np.ndarray]:
    return runtime.inside(names, x) if inside else runtime.single(x)


def _unit(runtime: Runtime) -> float:
    return float(np.finfo(runtime.reading.dtype).eps) / 2


def _differs(dims: tuple[int, ...], theirs: list[np.ndarray], span: Span) -> str | None:
    """What onnxruntime's arrays have that a span of the same value, of shape `dims` in the file, has not."""
    for given in theirs:
        if given.shape != dims:
            return f"onnxruntime gives the shape {list(given.shape)}, glscert {list(dims)}"
    found = torch.from_numpy(np.stack([given.reshape(-1) for given in theirs]).astype(np.float64))
    value, room = (each.flatten(1) for each in span)
    apart = ~((found - value).abs() <= room) & room.isfinite()
    if not bool(apart.any()):
        return None
    point, entry = apart.nonzero()[0].tolist()
    return f"onnxruntime gives {found[point, entry]:.7g} for entry {entry}, glscert {value[point, entry]:.7g}"


def _begins(runtime: Runtime, x: np.ndarray) -> str | None:
    """The first operator of the file, in its order, whose value differs from onnxruntime's; None where none does."""
    read = translated(runtime.file.model, runtime.reading.entries)
    params = {name: torch.tensor(array, dtype=torch.float64) for name, array in read.builder.params.items()}
    bound = read.builder.bound()
    known = [name for node in read.live for name in node.output if name in bound]
    spans = _spans(read.graph, params, x, _unit(runtime), [bound[name].name for name in known])
    try:
        told = [runtime.inside(known, point) for point in x]
    except UnsupportedError:
        return None
    for place, name in enumerate(known):
        found = _differs(bound[name].dims, [outputs[place] for outputs in told], spans[bound[name].name])
        if found is not None:
            return f"at {_shown(read, name)} {found}"
    return None


def _shown(read: Translated, name: str) -> str:
    node = next(node for node in read.live if name in node.output)
    return f"operator {node.op_type} (node {node.name or name!r})"


def _spans(graph: Graph, params: Params, x: np.ndarray, unit: float, wanted: Sequence[str]) -> dict[str, Span]:
    """A `Span` of each value `wanted`; its room is infinite at points where a step is beyond the type."""
    random = torch.Generator().manual_seed(0)
    most = torch.finfo(torch.float32 if unit > 1e-10 else torch.float64).max / 4
    given, beyond = torch.from_numpy(x.astype(np.float64)), torch.zeros(len(x), dtype=torch.bool)
    plain, moved = {graph.input: given}, {graph.input: _copies(given)}
    spans = {graph.input: _span(given, moved[graph.input], beyond, unit)}
    unread = Counter(name for node in graph.nodes for name in node.inputs)
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        inputs = [plain[name] for name in node.inputs]
        value = operator.forward(node, params, *inputs)
        other = operator.forward(node, params, *(moved[name] for name in node.inputs))
        size = _step(graph, params, node, inputs, value)
        if size is not None:
            beyond = beyond | ~((value.abs() + size).flatten(1).amax(1) < most)
            signs = 2 * torch.randint(0, 2, other.shape, generator=random, dtype=torch.float64) - 1
            other = other + unit * signs * _copies(size.expand_as(value))
        plain[node.output], moved[node.output] = value, other
        if node.output in wanted:
            spans[node.output] = _span(value, other, beyond, unit)
        for name in node.inputs:
            unread[name] -= 1
            if not unread[name]:  # room for what follows
                plain.pop(name, None), moved.pop(name, None)
    return spans


def _span(value: Tensor, moved: Tensor, beyond: Tensor, unit: float) -> Span:
    far = beyond.reshape(-1, *(1,) * (value.ndim - 1))
    off = (moved.unflatten(0, (_DISTURBED, len(value))) - value).abs().masked_fill(far, 0).amax((0, 1))
    room = _FACTOR * off + 4 * unit * value.abs() + torch.finfo(torch.float32).tiny
    return Span(value, room.masked_fill(far, torch.inf))


def _copies(value: Tensor) -> Tensor:
    return value.repeat(_DISTURBED, *(1,) * (value.ndim - 1))


def _step(graph: Graph, params: Params, node: Node, inputs: list[Tensor], value: Tensor) -> Tensor | None:
    """What a node's step may round by, in units; None where it does not."""
    operator = OPERATORS[node.op]
    if node.op in _STILL or (not isinstance(operator, Affine) and operator.kinked):
        return None
    if not isinstance(operator, Affine):
        return 8 * (value.abs() + inputs[0].abs().clamp(max=1))
    shapes = tuple(graph.shapes[name] for name in node.inputs)
    terms = max(2, operator.terms(node, params, shapes, graph.shapes[node.output]))
    return min(terms, 2 * sqrt(terms)) * summed(graph, params, node, operator, [each.abs() for each in inputs])
