"""From the operators of a graph to the few kinds of steps that the engine knows: convolutions as taps, the rest as
copies, sparse maps and functions of single entries.

`LOWERINGS` says it for every operator of the graph, so that no network is beyond the engine.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..functions import FUNCTIONS
from ..graph import Graph, Node
from .plan import Array, Plan, Shape, Taps


class Lowering:
    """The plan of a whole graph. number: of every value, by its name in the graph; lining: of the lines of every
    nonlinearity, by the name of its input; functions: what these are."""

    def __init__(self, graph: Graph, params: Mapping[str, Array]) -> None:
        self.graph, self._params = graph, params
        self.plan = Plan(_map(graph.shapes[graph.input]))
        self.number, self.lining, self.functions = {graph.input: 0}, dict[str, int](), dict[str, str]()
        self.bends: dict[str, int] = {}  # place of their steps among the plan's
        for node in graph.nodes:
            self.number[node.output] = LOWERINGS[node.op](self, node)

    def into(self, node: Node, place: int = 0) -> int:
        return self.number[node.inputs[place]]

    def shape(self, name: str) -> Shape:
        return self.graph.shapes[name]

    def param(self, name: str) -> Array:
        return np.asarray(self._params[name], np.float64)

    def weights(self, node: Node) -> tuple[Array, Array | None]:
        weight, *bias = map(self.param, node.params)
        return weight, bias[0] if bias else None

    def constant(self, node: Node) -> Array:
        """Spelled out over the node's output, flat."""
        return np.broadcast_to(self.param(node.params[0]), self.shape(node.output)).ravel()

    def shaped(self, number: int, shape: Shape) -> int:
        """The value as a map of another shape."""
        if self.plan.values[number].shape == shape:
            return number
        out, every = self.plan.value(shape), np.arange(prod(shape))
        self.plan.pairs(number, out, every, every, np.ones(len(every)))
        return out

    def pairs(self, node: Node, to: Array, source: Array, factor: Array) -> int:
        """As pairs, or as a convolution with one weight for each channel where it is that: it keeps regions small."""
        into, out = self.into(node), self.plan.value(_map(self.shape(node.output)))
        inner, shape = self.plan.values[into].shape, self.plan.values[out].shape
        same = inner == shape and np.array_equal(to, source)
        by_channel = factor.reshape(shape[0], -1) if same else None
        if by_channel is not None and (by_channel == by_channel[:, :1]).all():
            self.channelwise(into, out, by_channel[:, 0], (0, 0))
        else:
            self.plan.pairs(into, out, to, source, factor)
        return out

    def channelwise(self, into: int, out: int, factor: Array, pads: tuple[int, int]) -> None:
        weight = factor.reshape(-1, 1, 1, 1)
        down, up = _phases(weight, len(factor), (1, 1), pads, (1, 1), self.plan.values[into].shape)
        self.plan.correlate(into, out, len(factor), up, down, None)


def _same(to: Lowering, node: Node) -> int:
    return to.into(node)  # the entries are counted alike


def _sum(to: Lowering, node: Node) -> int:
    into, sign = to.into(node), 1.0 if node.op == "Add" else -1.0
    shape = to.plan.values[into].shape
    if node.params:
        out = to.plan.value(shape)
        to.plan.copy(into, out, 1.0, sign * to.constant(node))
        return out
    other = to.shaped(to.into(node, 1), shape)
    out = to.plan.value(shape)
    to.plan.copy(into, out, 1.0)
    to.plan.copy(other, out, sign)
    return out


def _scaled(to: Lowering, node: Node) -> int:
    factor, every = to.constant(node), np.arange(prod(to.shape(node.output)))
    return to.pairs(node, every, every, factor if node.op == "Mul" else 1 / factor)


def _moved(move: Callable[[Node, Array], Array]) -> Callable[[Lowering, Node], int]:
    """`move`: where every entry of the input goes, shown on their numbers from 1 on; 0 is none of them."""

    def lower(to: Lowering, node: Node) -> int:
        shape = to.shape(node.inputs[0])
        source = move(node, np.arange(1, prod(shape) + 1).reshape(shape)).ravel()
        places = np.flatnonzero(source)
        return to.pairs(node, places, source[places] - 1, np.ones(len(places)))

    return lower


def _padding(node: Node) -> list[tuple[int, int]]:
    pads = node.attrs["pads"]
    return list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))


def _pad(to: Lowering, node: Node) -> int:
    pads, inner = node.attrs["pads"], to.plan.values[to.into(node)].shape
    if len(pads) == 6 and pads[0] == pads[3] == 0 and inner == _map(to.shape(node.inputs[0])):
        out = to.plan.value(_map(to.shape(node.output)))
        to.channelwise(to.into(node), out, np.ones(inner[0]), (pads[1], pads[2]))
        return out
    return _moved(lambda node, number: np.pad(number, _padding(node)))(to, node)


def _reduced(to: Lowering, node: Node) -> int:
    shape, out = to.shape(node.inputs[0]), to.shape(node.output)
    number = np.expand_dims(np.arange(prod(out)).reshape(out), tuple(node.attrs["axes"]))
    return to.pairs(node, np.broadcast_to(number, shape).ravel(), np.arange(prod(shape)), np.ones(prod(shape)))


def _convolution(to: Lowering, node: Node) -> int:
    weight, bias = to.weights(node)
    attrs, into = node.attrs, to.shaped(to.into(node), _map(to.shape(node.inputs[0])))
    out = to.plan.value(_map(to.shape(node.output)))
    inner, shape = to.plan.values[into].shape, to.plan.values[out].shape
    inside = inner if node.op == "Conv" else shape
    down, up = _phases(weight, attrs["group"], attrs["strides"], attrs["pads"][:2], attrs["dilations"], inside)
    back, forth = (up, down) if node.op == "Conv" else (down, up)
    to.plan.correlate(into, out, attrs["group"], back, forth, bias)
    return out


def _product(to: Lowering, node: Node) -> int:
    weight, bias = to.weights(node)
    into, out = to.into(node), to.plan.value(_map(to.shape(node.output)))
    inner = to.plan.values[into].shape
    down, up = _phases(weight.reshape(len(weight), *inner), 1, inner[1:], (0, 0), (1, 1), inner)
    to.plan.correlate(into, out, 1, up, down, bias)
    return out


def _along_last_axis(to: Lowering, node: Node) -> int:
    """A product for each line: the entries of the lines as channels, the lines side by side."""
    weight, bias = to.weights(node)
    outputs, inputs = weight.shape
    lines = prod(to.shape(node.inputs[0])) // inputs

    def turned(number: int, shape: Shape, source: Array) -> int:
        out = to.plan.value(shape)
        to.plan.pairs(number, out, np.arange(source.size), source.ravel(), np.ones(source.size))
        return out

    apart = turned(to.into(node), (inputs, 1, lines), np.arange(lines * inputs).reshape(lines, inputs).T)
    multiplied = to.plan.value((outputs, 1, lines))
    down, up = _phases(weight[:, :, None, None], 1, (1, 1), (0, 0), (1, 1), (inputs, 1, lines))
    to.plan.correlate(apart, multiplied, 1, up, down, bias)
    order = np.arange(outputs * lines).reshape(outputs, lines).T
    return turned(multiplied, _map(to.shape(node.output)), order)


def _bent(to: Lowering, node: Node) -> int:
    name, into = node.inputs[0], to.into(node)
    if name in to.functions:
        if to.functions[name] != node.op:
            raise UnsupportedError(
                f"the value {name!r} is read by two kinds of nonlinear operators, one of them {node.op} (node "
                f"{node.name!r}). Put a Reshape to its own shape before one of them."
            )
        return to.plan.ops[to.bends[name]].out
    out = to.plan.value(to.plan.values[into].shape)
    to.bends[name], to.functions[name] = len(to.plan.ops), node.op
    to.lining[name] = to.plan.lines(into, out)
    return out


LOWERINGS: Mapping[str, Callable[[Lowering, Node], int]] = {
    "Add": _sum,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Div": _scaled,
    "Flatten": _same,
    "Gather": _moved(lambda node, number: np.take(number, node.attrs["indices"], node.attrs["axis"])),
    "Gemm": _product,
    "MatMul": _along_last_axis,
    "Mul": _scaled,
    "Pad": _pad,
    "ReduceSum": _reduced,
    "Reshape": _same,
    "Sub": _sum,
    "Transpose": _moved(lambda node, number: np.transpose(number, node.attrs["perm"])),
    **dict.fromkeys(FUNCTIONS, _bent),
}


def _map(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (prod(shape), 1, 1)


def _phases(
    weight: Array, groups: int, strides: Any, pads: Any, dilations: Any, inner: Shape
) -> tuple[list[Taps], list[Taps]]:
    """A convolution [out, in/group, kh, kw] of a map `inner`: forwards, and transposed, a phase for each place within
    a stride."""
    outputs, each, *kernel = weight.shape
    (sh, sw), (top, left), (dh, dw) = strides, pads, dilations
    places = [(y, x) for y in range(kernel[0]) for x in range(kernel[1])]
    tap = np.array([(y * dh - top, x * dw - left) for y, x in places])
    forth = Taps((0, 0), (1, 1), (sh, sw), tap, np.stack([weight[:, :, y, x] for y, x in places]))
    turned = weight.reshape(groups, outputs // groups, each, *kernel).transpose(0, 2, 1, 3, 4)
    turned = turned.reshape(groups * each, outputs // groups, *kernel)
    back = []
    for ry in range(min(sh, inner[1])):
        for rx in range(min(sw, inner[2])):
            own = [(y, x) for y, x in places if (ry + top - y * dh) % sh == 0 and (rx + left - x * dw) % sw == 0]
            if own:
                tap = np.array([((ry + top - y * dh) // sh, (rx + left - x * dw) // sw) for y, x in own])
                back.append(Taps((ry, rx), (sh, sw), (1, 1), tap, np.stack([turned[:, :, y, x] for y, x in own])))
    return [forth], back
