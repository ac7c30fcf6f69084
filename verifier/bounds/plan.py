"""The plan of a network for the compiled program (ops/plan.py): convolutions as taps, the rest as sparse maps."""

from math import prod
from typing import Any

import numpy as np
import torch

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Params
from ..ops.forms import Shape
from ..ops.plan import Array, Plan, Taps

_MOST_PAIRS = 1 << 20
_MOVED = {"Transpose", "Gather", "Pad"}


class PlanBuilder:
    """The plan of all that lies above the value `end`."""

    def __init__(self, graph: Graph, params: Params, end: str) -> None:
        self.graph = graph
        self.params = {name: value.detach().double() for name, value in params.items()}
        self.plan = Plan(_map(graph.shapes[end]))
        self.number, self.lining = {end: 0}, dict[str, int]()
        self.complete = all(self._node(node) for node in graph.nodes if self._above(node))

    def _above(self, node: Node) -> bool:
        return any(name in self.number for name in node.inputs)

    def _node(self, node: Node) -> bool:
        if not all(name in self.number for name in node.inputs):
            return False
        into, shape = self.number[node.inputs[0]], self.graph.shapes[node.output]
        operator = OPERATORS[node.op]
        if not isinstance(operator, Affine):
            if node.inputs[0] in self.lining:
                return False
            out = self.plan.value(self.plan.values[into].shape)
            self.lining[node.inputs[0]] = self.plan.lines(into, out)
        elif node.op in ("Reshape", "Flatten"):
            out = into  # the entries are counted alike
        elif node.op in ("Conv", "ConvTranspose"):
            out = self._convolution(node, self._as_map(into, node.inputs[0]), _map(shape))
        elif node.op == "Gemm":
            out = self._product(node, into, _map(shape))
        elif node.op in ("Add", "Sub"):
            out = self._sum(node, into)
        else:
            found = self._sparse(node)
            if found is None:
                return False
            out = self.plan.value(_map(shape))
            self._pairs(node, into, out, *found)
        self.number[node.output] = out
        return True

    def _as_map(self, number: int, name: str) -> int:
        """The value in the shape that the graph gives it, where it is kept in another."""
        return self._shaped(number, _map(self.graph.shapes[name]))

    def _shaped(self, number: int, shape: Shape) -> int:
        if self.plan.values[number].shape == shape:
            return number
        out, every = self.plan.value(shape), np.arange(prod(shape))
        self.plan.pairs(number, out, every, every, np.ones(len(every)))
        return out

    def _weights(self, node: Node) -> tuple[Array, Array | None]:
        weight, *bias = (self.params[name].numpy() for name in node.params)
        return weight, bias[0] if bias else None

    def _convolution(self, node: Node, into: int, shape: Shape) -> int:
        weight, bias = self._weights(node)
        attrs, out = node.attrs, self.plan.value(shape)
        inner = self.plan.values[into].shape
        maps = (inner, shape) if node.op == "Conv" else (shape, inner)
        down, up = _phases(weight, attrs["group"], attrs["strides"], attrs["pads"][:2], attrs["dilations"], maps[0])
        back, forth = (up, down) if node.op == "Conv" else (down, up)
        self.plan.correlate(into, out, attrs["group"], back, forth, bias)
        return out

    def _product(self, node: Node, into: int, shape: Shape) -> int:
        weight, bias = self._weights(node)
        inner, out = self.plan.values[into].shape, self.plan.value(shape)
        kernel = weight.reshape(len(weight), *inner)
        down, up = _phases(kernel, 1, inner[1:], (0, 0), (1, 1), inner)
        self.plan.correlate(into, out, 1, up, down, bias)
        return out

    def _sum(self, node: Node, into: int) -> int:
        shape, sign = self.plan.values[into].shape, 1.0 if node.op == "Add" else -1.0
        out = self.plan.value(shape)
        if node.params:
            constant = sign * self.params[node.params[0]].expand(self.graph.shapes[node.output]).numpy().ravel()
            self.plan.copy(into, out, 1.0, constant)
            return out
        other = self._shaped(self.number[node.inputs[1]], shape)
        self.plan.copy(into, out, 1.0)
        self.plan.copy(other, out, sign)
        return out

    def _sparse(self, node: Node) -> tuple[Array, Array, Array] | None:
        """Entries of the output, of the input, and factors; None for an operator that is none of these."""
        shape, out, operator = self.graph.shapes[node.inputs[0]], self.graph.shapes[node.output], OPERATORS[node.op]
        if node.op in ("Mul", "Div"):
            every = np.arange(prod(shape))
            factor = operator.forward(node, self.params, torch.ones(1, *shape, dtype=torch.float64))
            return every, every, factor.numpy().ravel()
        if node.op in _MOVED:
            number = torch.arange(1, prod(shape) + 1, dtype=torch.float64).reshape(1, *shape)
            source = operator.forward(node, self.params, number).long().numpy().ravel()
            to = np.flatnonzero(source)
            return to, source[to] - 1, np.ones(len(to))
        if node.op == "ReduceSum":
            number = torch.arange(prod(out)).reshape(out)
            for axis in node.attrs["axes"]:
                number = number.unsqueeze(axis)
            return number.expand(shape).numpy().ravel(), np.arange(prod(shape)), np.ones(prod(shape))
        if node.op == "MatMul":
            weight, bias = self._weights(node)
            lines, (outputs, inputs) = prod(shape) // weight.shape[1], weight.shape
            if bias is not None or lines * weight.size > _MOST_PAIRS:
                return None
            line, o, i = (part.ravel() for part in np.broadcast_arrays(*np.ogrid[:lines, :outputs, :inputs]))
            return line * outputs + o, line * inputs + i, np.tile(weight.ravel(), lines)
        return None

    def _pairs(self, node: Node, into: int, out: int, to: Array, source: Array, factor: Array) -> None:
        """As pairs, or as a convolution with one weight for each channel where it is that: it keeps regions small."""
        inner, shape = self.plan.values[into].shape, self.plan.values[out].shape
        same = inner == shape and np.array_equal(to, source)
        by_channel = factor.reshape(shape[0], -1) if same else None
        if by_channel is not None and (by_channel == by_channel[:, :1]).all():
            self._channelwise(into, out, by_channel[:, 0], (0, 0))
            return
        if node.op == "Pad" and len(node.attrs["pads"]) == 6 and inner == _map(self.graph.shapes[node.inputs[0]]):
            channels, top, left, beyond, *_ = node.attrs["pads"]
            if channels == beyond == 0:
                self._channelwise(into, out, np.ones(shape[0]), (top, left))
                return
        self.plan.pairs(into, out, to, source, factor)

    def _channelwise(self, into: int, out: int, factor: Array, pads: tuple[int, int]) -> None:
        weight = factor.reshape(-1, 1, 1, 1)
        down, up = _phases(weight, len(factor), (1, 1), pads, (1, 1), self.plan.values[into].shape)
        self.plan.correlate(into, out, len(factor), up, down, None)


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
