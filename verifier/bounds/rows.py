"""A network as the compiled program for rows sees it (ops/rows.py): convolutions as taps, the rest as sparse maps."""

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Lines, Params
from ..ops.forms import Shape
from ..ops.rows import Lining, Plan, RowsProgram, Taps, rows_program
from .dual import Cuts, Dual, Look, held
from .specification import Spec
from .substitution import Anchor

Array = NDArray[Any]

_MOST_PAIRS = 1 << 20
_RATE = 0.25  # of a climb
_MOST_WEIGHTS = 1 << 24  # the program keeps them twice in each dtype
_MOST_ENTRIES = 1 << 21  # of all values together: each thread has a vector for every one of them, or two
_MOVED = {"Transpose", "Gather", "Pad"}


class Rows(NamedTuple):
    """The program of a network above the value `end`; number of each value, lining of each nonlinearity's input."""

    program: RowsProgram
    number: Mapping[str, int]
    lining: Mapping[str, int]
    end: str
    output: str

    def linings(self, lines: Mapping[str, Lines]) -> list[Lining | None]:
        """Lines [B, 1, *v] that all rows of a box share; None for a nonlinearity without."""
        found: list[Lining | None] = [None] * len(self.lining)
        for name, place in self.lining.items():
            if name in lines:
                low, start, up, up_start = lines[name]
                start = None if start is None else start.flatten(1)
                found[place] = Lining(low.flatten(1), start, up.flatten(1), up_start.flatten(1))
        return found

    def neighbours(self, name: str, neuron: Tensor, box: Tensor | int = 0) -> Tensor:
        """The order [n] that puts entries of the value `name` side by side which see much the same of those below."""
        _, height, width = self.program.plan.values[self.number[name]].shape
        return (box * (height * width) + neuron % (height * width)).argsort(stable=True)

    def neuron_bounds(
        self, name: str, box: Tensor, neuron: Tensor, sign: Tensor, lines: Mapping[str, Lines], base: Anchor
    ) -> Tensor:
        """Lower bounds [n] of sign · v, for entries neuron [n] (flat) of the value `name` in boxes number box [n]."""
        order = self.neighbours(name, neuron, box)
        found = self.program.bounds(
            self.number[name],
            self.linings(lines),
            *self.ends(base),
            neurons=(neuron[order], sign[order]),
            box=box[order],
        )
        return found.bound.new_empty(len(order)).index_copy_(0, order, found.bound)

    def climbed(
        self,
        name: str,
        neuron: Tensor,
        sign: Tensor,
        lines: Mapping[str, Lines],
        base: Anchor,
        *,
        slopes: Mapping[str, Tensor] | None = None,
        steps: int = 0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Lower bounds [n] of sign · v in the one box of `base`, every row with lower slopes of its own [n, entries]:
        `slopes`, or those of `lines` after so many steps of ascent, which come with it."""
        count, linings = len(neuron), self.linings(lines)
        own = [lining and lining._replace(low=lining.low.expand(count, -1), own_low=True) for lining in linings]
        for each, place in self.lining.items():
            lining = own[place]
            if slopes and each in slopes and lining is not None:
                own[place] = lining._replace(low=slopes[each])
        found = self.program.bounds(
            self.number[name], own, *self.ends(base), neurons=(neuron, sign), steps=steps, rate=_RATE
        )
        return found.bound, {each: found.low[place] for each, place in self.lining.items() if own[place] is not None}

    def ends(self, base: Anchor) -> tuple[Tensor, Tensor]:
        return base.centres[self.end].flatten(1), base.boxed[self.end].flatten(1)

    def dual(
        self,
        spec: Spec,
        pre: Mapping[str, Box],
        lines: Mapping[str, Lines],
        dual: Dual,
        cuts: Mapping[str, Cuts] | None,
        base: Anchor,
        *,
        look: bool = False,
        steps: int = 0,
        rate: float = 0.0,
        decay: float = 1.0,
        neurons: Tensor | None = None,
    ) -> "DualBounds":
        """The bound of specification rows, lines [B, M|1, *v] by the slopes of `dual`, after `steps` of ascent.

        Cuts are at 0: what a multiplier may move is the side that is cut, where it costs nothing.
        neurons [B, V]: counted through all of `lines` in its order, for the bounds of both sides of each one's split.
        """
        boxes = len(base.boxed[self.end])
        given, offset = (part.expand(boxes, *part.shape[1:]) for part in spec)
        weights = dual.weights
        if weights is None:  # every row by itself
            rows = given.shape[1]
            given, offset = given.flatten(0, 1).unsqueeze(1), offset.flatten(0, 1).unsqueeze(1)
            weights = torch.ones_like(offset)
        else:
            rows = 1
        names = sorted(self.lining, key=lambda name: self.lining[name])
        linings = [
            self._own(lines[name], boxes, rows, dual.multipliers[name], None if cuts is None else cuts[name])
            for name in names
        ]
        centre, radius = (end.repeat_interleave(rows, 0) for end in self.ends(base))
        found = self.program.bounds(
            self.number[self.output], linings, centre, radius, rows=(given, offset, weights), own_end=True, look=look,
            steps=steps, rate=rate, decay=decay, flips=None if neurons is None else self._flips(lines, neurons),
        )  # fmt: skip

        def shaped(values: list[Tensor]) -> dict[str, Tensor]:
            shapes = {name: lines[name].upper_slope.shape[2:] for name in names}
            return {n: value.reshape(boxes, rows, *shapes[n]) for n, value in zip(names, values, strict=True)}

        best = dual
        if steps:
            multipliers = dual.multipliers if cuts is None else shaped(found.extra)
            weights = None if dual.weights is None else found.weights
            best = Dual(shaped(found.low), multipliers, weights)
        shown = None
        if found.corner is not None:
            corner = found.corner.reshape(boxes, rows, *base.boxed[self.end].shape[1:])
            shown = Look(shaped(found.met), corner)
        bound = found.bound.reshape(boxes, rows)
        sides = None if found.flipped is None else found.flipped.T.unflatten(1, (-1, 2))
        for name, cut in (cuts or {}).items():
            kept = held(best.multipliers[name], pre[name], cut)
            bound, sides = bound - kept, None if sides is None else sides - kept.unsqueeze(2)
        return DualBounds(bound, best, shown, sides)

    def _flips(self, lines: Mapping[str, Lines], neurons: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lining, entry and sign of the neurons [B, V], each [2 V, B]: of both sides."""
        widths = torch.tensor([line.upper_slope[0].numel() for line in lines.values()])
        ends = widths.cumsum(0)
        which = torch.bucketize(neurons.clamp(min=0), ends, right=True)
        lining = torch.tensor([self.lining[name] for name in lines])[which]
        entry = neurons.clamp(min=0) - (ends - widths)[which]
        sign = torch.tensor([1.0, -1.0]).repeat(neurons.shape[1]).unsqueeze(1).expand(-1, len(neurons))
        return lining.T.repeat_interleave(2, 0), entry.T.repeat_interleave(2, 0), sign

    @staticmethod
    def _own(lines: Lines, boxes: int, rows: int, multipliers: Tensor, cuts: Cuts | None) -> Lining:
        """Every row's own lines [B · rows, n]."""

        def spelled(value: Tensor) -> Tensor:
            return value.expand(boxes, rows, *value.shape[2:]).reshape(boxes * rows, -1)

        low, low_start, up, up_start = lines
        sign = extra = None
        if cuts is not None:
            sign = spelled((cuts.lower.to(low.dtype) - cuts.upper.to(low.dtype)).unsqueeze(1))
            extra = spelled(multipliers)
        start = None if low_start is None else spelled(low_start)
        return Lining(spelled(low), start, spelled(up), spelled(up_start), True, True, extra, sign)


class DualBounds(NamedTuple):
    """bound [B, M], the slopes and multipliers that gave it, and where that was asked for how it came about and the
    bounds [B, V, 2] of the sides of splits."""

    bound: Tensor
    dual: Dual
    look: Look | None
    sides: Tensor | None = None

    def shown(self) -> Look:
        if self.look is None:
            raise ValueError("the bound was taken without a look at it")
        return self.look


class _Same:
    """A key that is equal to itself alone, and keeps what it stands for alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def rows_of(graph: Graph, params: Params, end: str) -> Rows | None:
    """The program for rows that end at the value `end`, in the dtype of `params`; None without a compiler, away from
    the CPU, for networks that would take too much memory, and with an operator that the program does not know."""
    return _rows_of(_Same(graph), _Same(params), end)


@lru_cache(maxsize=8)
def _rows_of(graph: _Same, params: _Same, end: str) -> Rows | None:
    like = next(iter(params.value.values()), None)
    if like is None or like.device.type != "cpu":
        return None
    weights = sum(value.numel() for value in params.value.values())
    if weights > _MOST_WEIGHTS or sum(prod(shape) for shape in graph.value.shapes.values()) > _MOST_ENTRIES:
        return None
    builder = _Builder(graph.value, params.value, end)
    if not builder.complete or not builder.lining:
        return None
    program = rows_program(builder.plan, like.dtype)
    return None if program is None else Rows(program, builder.number, builder.lining, end, graph.value.output)


class _Builder:
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
        shape = _map(self.graph.shapes[name])
        return self._shaped(number, shape)

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
        elif node.op == "Pad" and len(node.attrs["pads"]) == 6 and inner == _map(self.graph.shapes[node.inputs[0]]):
            channels, top, left, beyond, *_ = node.attrs["pads"]
            if channels == beyond == 0:
                self._channelwise(into, out, np.ones(shape[0]), (top, left))
                return
            self.plan.pairs(into, out, to, source, factor)
        else:
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
