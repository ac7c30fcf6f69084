"""The steps of a plan in numpy: forwards, backwards, and with the magnitudes of their weights.

An affine step is f(v) = L v + offset, of one or several values; a `Bend` is a function of single entries.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np

from ..functions import Function
from .correlation import Correlation
from .plan import CORRELATE, LINES, Array, Op, Plan, Shape, Taps


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
    """What several steps of the plan add to one value. offset [n] or None. terms: products that an entry, either way,
    is the sum of at most; products: forwards; mixes: entries are summed, not only factors and values; greatest: the
    size that no factor exceeds; moves: entries go elsewhere, or turn their sign, and nothing rounds."""

    def __init__(self, plan: Plan, ops: Sequence[Op], dtype: np.dtype) -> None:
        self.inputs, self.out = tuple(op.into for op in ops), ops[0].out
        self._inner, self._dtype = [plan.values[number].shape for number in self.inputs], dtype
        self._maps = [_Map(plan, op, dtype) for op in ops]
        self.size = prod(plan.values[self.out].shape)
        offsets = [_offset(plan, op) for op in ops if op.offset is not None]
        self.offset = np.sum(offsets, 0).astype(dtype) if offsets else None
        self.terms = sum(each.terms for each in self._maps)
        self.products = sum(each.products for each in self._maps)
        self.mixes = any(each.products > 1 for each in self._maps)
        self.greatest = max(each.greatest for each in self._maps)
        self.moves = len(ops) == 1 and self.offset is None and self._maps[0].moves
        self.multiplications = sum(each.multiplications for each in self._maps)

    @cached_property
    def steepness(self) -> Array:
        """|L| 1 [1, n]."""
        return self.spread(*(np.ones((1, prod(shape)), self._dtype) for shape in self._inner))

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
    """One step of the plan as a linear map: by a factor for each entry, by pairs, by a matrix, or by correlations."""

    def __init__(self, plan: Plan, op: Op, dtype: np.dtype) -> None:
        inner, outer = (plan.values[number].shape for number in (op.into, op.out))
        self.matrix: Array | None = None
        self._factor: Array | None = None
        self.multiplications, self.products, self.moves = 0, 1, False
        if op.kind == CORRELATE:
            self._correlate(op, inner, outer, dtype)
            return
        factor = (np.ones(1) if op.factor is None else op.factor).astype(dtype)
        self.greatest = float(abs(factor).max(initial=0))
        self.moves = bool((abs(factor) == 1).all())
        if op.pairs is None:
            self.terms, self._factor = 1, factor
            return
        to, source = op.pairs
        forth, back = _Gather(to, source, factor, prod(outer)), _Gather(source, to, factor, prod(inner))
        self._ways: Sequence[Way] = forth, back
        self.terms, self.products = max(forth.most, back.most), forth.most
        self.moves = self.moves and forth.most == 1

    def _correlate(self, op: Op, inner: Shape, outer: Shape, dtype: np.dtype) -> None:
        self.products = _terms(op.forth)
        self.greatest = max((float(abs(each.weight).max(initial=0)) for each in op.forth), default=0.0)
        self.terms = max(self.products, _terms(op.back))
        self.multiplications = _terms(op.forth) * prod(outer)
        for weight, tap in [(each.weight.astype(dtype), each.tap) for each in op.forth if len(op.forth) == 1]:
            if op.groups == outer[0] and inner == outer and np.array_equal(tap, [[0, 0]]):
                self._factor = np.repeat(weight.ravel(), prod(outer[1:]))
            elif op.groups == 1 and outer[1:] == (1, 1) and np.array_equal(tap, _everywhere(inner)):
                self.matrix = np.ascontiguousarray(weight.transpose(1, 2, 0).reshape(prod(outer), prod(inner)))
        if self._factor is None and self.matrix is None:
            forth = Correlation(op.forth, op.groups, inner, outer, dtype)
            self._ways = forth, Correlation(op.back, op.groups, outer, inner, dtype)

    def forth(self, value: Array, *, absolute: bool = False) -> Array:
        if self._factor is not None:
            return value * (abs(self._factor) if absolute else self._factor)
        if self.matrix is not None:
            return _times(value, (abs(self.matrix) if absolute else self.matrix).T)
        return self._ways[0](value, absolute)

    def back(self, coef: Array) -> Array:
        if self._factor is not None:
            return coef * self._factor
        if self.matrix is not None:
            return _times(coef, self.matrix)
        return self._ways[1](coef, False)


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


Way = Callable[[Array, bool], Array]  # of values [N, n], with the sizes of factors or with these themselves


def _times(value: Array, matrix: Array) -> Array:
    """value [N, n] times a matrix, in the same order in memory."""
    return (matrix.T @ value.T).T if value.flags.f_contiguous else value @ matrix


def _everywhere(shape: Shape) -> Array:
    """Every place [height · width, 2] of a map."""
    return np.argwhere(np.ones(shape[1:], bool))


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
