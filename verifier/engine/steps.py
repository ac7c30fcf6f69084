"""The steps of a plan in numpy: forwards, backwards, and with the magnitudes of their weights.

An affine step is f(v) = L v + offset, of one or several values; a `Bend` is a function of single entries.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ..functions import Function
from .plan import COPY, CORRELATE, LINES, Array, Op, Plan, Shape, Taps

_ROOM = 1 << 20  # bytes of what a convolution sees


class Bend(NamedTuple):
    """The nonlinearity that reads the value `name` of the graph, number `into`, of `size` entries. lines: number of
    its lines."""

    name: str
    function: Function
    into: int
    out: int
    size: int
    lines: int


class Affine:
    """What several steps of the plan add to one value. offset [n] or None."""

    def __init__(self, plan: Plan, ops: Sequence[Op], dtype: np.dtype) -> None:
        self.inputs, self.out = tuple(op.into for op in ops), ops[0].out
        self._maps = [_Map(plan, op, dtype) for op in ops]
        self.size = prod(plan.values[self.out].shape)
        offsets = [_offset(plan, op) for op in ops if op.offset is not None]
        self.offset = np.sum(offsets, 0).astype(dtype) if offsets else None
        self.terms = sum(each.terms for each in self._maps)  # products that an entry, either way, is the sum of at most
        self.multiplications = sum(each.multiplications for each in self._maps)

    @property
    def matrix(self) -> Array | None:
        """L [n, inputs] where the step is a product with one; None for others."""
        return self._maps[0].matrix if len(self._maps) == 1 else None

    def forward(self, *values: Array) -> Array:
        """f(v) for values [N, n] of the inputs."""
        found = self.linear(*values)
        return found if self.offset is None else found + self.offset

    def linear(self, *values: Array) -> Array:
        """L v."""
        return _summed([each.forth(value) for each, value in zip(self._maps, values, strict=True)])

    def spread(self, *radii: Array) -> Array:
        """|L| r for radii [N, n] >= 0."""
        return _summed([each.forth(radius, absolute=True) for each, radius in zip(self._maps, radii, strict=True)])

    def back(self, coef: Array) -> tuple[Array, ...]:
        """Rows [N, n] over the output as rows over each of the inputs: A L."""
        return tuple(each.back(coef) for each in self._maps)


class _Map:
    """One step of the plan as a linear map."""

    def __init__(self, plan: Plan, op: Op, dtype: np.dtype) -> None:
        self._op, self._shapes = op, (plan.values[op.into].shape, plan.values[op.out].shape)
        inner, outer = map(prod, self._shapes)
        self.matrix: Array | None = None
        if op.kind == CORRELATE:
            self._weights = [[each.weight.astype(dtype) for each in way] for way in (op.forth, op.back)]
            self.terms = max(_terms(op.forth), _terms(op.back))
            if op.groups == 1 and self._shapes[1][1:] == (1, 1) and _whole(op.forth, self._shapes[0]):
                self.matrix = np.ascontiguousarray(self._weights[0][0].transpose(1, 2, 0).reshape(outer, inner))
            self.multiplications = _terms(op.forth) * outer
            return
        factor = np.ones(1) if op.factor is None else op.factor
        self._factor = factor.astype(dtype)
        self.multiplications = 0
        if op.kind == COPY or op.pairs is None:
            self.terms = 1
            return
        to, source = op.pairs
        self._gather = _Gather(to, source, self._factor, outer), _Gather(source, to, self._factor, inner)
        self.terms = max(each.most for each in self._gather)

    def forth(self, value: Array, *, absolute: bool = False) -> Array:
        if self._op.kind == COPY:
            return value * (abs(self._factor) if absolute else self._factor)
        if self._op.kind != CORRELATE:
            return self._gather[0](value, absolute)
        if self.matrix is not None:
            return value @ (abs(self.matrix) if absolute else self.matrix).T
        return _correlated(self._op.forth, self._weights[0], value, *self._shapes, self._op.groups, absolute)

    def back(self, coef: Array) -> Array:
        if self._op.kind == COPY:
            return coef * self._factor
        if self._op.kind != CORRELATE:
            return self._gather[1](coef, False)
        if self.matrix is not None:
            return coef @ self.matrix
        inner, outer = self._shapes
        return _correlated(self._op.back, self._weights[1], coef, outer, inner, self._op.groups, False)


class _Gather:
    """to += factor · from, sorted by `to`."""

    def __init__(self, to: Array, source: Array, factor: Array, size: int) -> None:
        order = np.argsort(to, kind="stable")
        self._to, self._starts, counts = np.unique(to[order], return_index=True, return_counts=True)
        self._source, self._size = source[order], size
        self._factor = np.broadcast_to(factor, to.shape)[order]
        self.most = int(counts.max(initial=1))

    def __call__(self, value: Array, absolute: bool) -> Array:
        moved = value[:, self._source] * (abs(self._factor) if absolute else self._factor)
        if self.most > 1:
            moved = np.add.reduceat(moved, self._starts, axis=1)
        if len(self._to) == self._size:
            return moved
        found = np.zeros((len(value), self._size), moved.dtype)
        found[:, self._to] = moved
        return found


def _correlated(
    phases: Sequence[Taps],
    weights: Sequence[Array],
    value: Array,
    inner: Shape,
    outer: Shape,
    groups: int,
    absolute: bool,
) -> Array:
    """to[o, q · step + first] = sum of weight[t, o, i] · from[i, q · stride + tap[t]], zero beyond the map."""
    count, each = len(value), inner[0] // groups
    found = np.zeros((count, groups, outer[0] // groups, *outer[1:]), value.dtype)
    if not phases:  # padding alone is seen
        return found.reshape(count, -1)
    low = [max(0, -min(int(phase.tap[:, axis].min()) for phase in phases)) for axis in range(2)]
    high = [max(_last(phase, outer, axis) for phase in phases) + 1 - inner[1 + axis] for axis in range(2)]
    pads = [(0, 0), (0, 0), (low[0], max(0, high[0])), (low[1], max(0, high[1]))]
    source = np.pad(value.reshape(count, *inner), pads).reshape(count, groups, each, -1, inner[2] + sum(pads[3]))
    for phase, weight in zip(phases, weights, strict=True):
        (fy, fx), (sy, sx), (dy, dx) = phase.first, phase.step, phase.stride
        parted = (abs(weight) if absolute else weight).reshape(len(weight), groups, -1, each)
        matrix = np.ascontiguousarray(parted.transpose(1, 2, 0, 3)).reshape(groups, -1, len(weight) * each)
        rows, columns = found[:, 0, 0, fy::sy, fx::sx].shape[1:]
        many = max(1, _ROOM // (value.itemsize * inner[0] * len(weight) * rows * columns))
        for first in range(0, count, many):  # what is seen stays in the cache
            target = found[first : first + many, :, :, fy::sy, fx::sx]
            own = source[first : first + many]
            seen = np.empty((len(own), groups, len(weight), each, rows, columns), value.dtype)
            for tap, (ty, tx) in enumerate(phase.tap.tolist()):
                y, x = ty + low[0], tx + low[1]
                seen[:, :, tap] = own[..., y : y + (rows - 1) * dy + 1 : dy, x : x + (columns - 1) * dx + 1 : dx]
            target[:] = (matrix @ seen.reshape(len(own), groups, -1, rows * columns)).reshape(target.shape)
    return found.reshape(count, -1)


def _whole(phases: Sequence[Taps], inner: Shape) -> bool:
    """The taps are the places of the map in their order, none of them beside it."""
    places = np.argwhere(np.ones(inner[1:]))
    return len(phases) == 1 and np.array_equal(phases[0].tap, places)


def _last(phase: Taps, outer: Shape, axis: int) -> int:
    """The last place that a phase reads along an axis."""
    places = (outer[1 + axis] - 1 - phase.first[axis]) // phase.step[axis]
    return int(places * phase.stride[axis] + phase.tap[:, axis].max())


def _terms(phases: Sequence[Taps]) -> int:
    return max((len(each.tap) * each.weight.shape[2] for each in phases), default=1)


def _offset(plan: Plan, op: Op) -> Array:
    """Of every entry."""
    shape = plan.values[op.out].shape
    if op.kind == CORRELATE and op.offset is not None:
        return np.broadcast_to(op.offset[:, None, None], shape).ravel()
    return np.asarray(op.offset)


def _summed(parts: Sequence[Array]) -> Array:
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found


def steps(plan: Plan, bend: Callable[[Op], Bend], dtype: np.dtype) -> tuple[Affine | Bend, ...]:
    """The plan's steps in order; those that add to one value are one."""
    found: list[Affine | Bend] = []
    together: list[Op] = []
    for op in [*plan.ops, None]:
        if together and (op is None or op.kind == LINES or op.out != together[0].out):
            found.append(Affine(plan, together, dtype))
            together = []
        if op is not None and op.kind == LINES:
            found.append(bend(op))
        elif op is not None:
            together.append(op)
    return tuple(found)
