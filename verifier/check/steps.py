"""The affine steps of a network, over flat tensors [B, n]: each a linear map W of its inputs, and a bias.

`forward` W v, `size` |W| m, `back` rows A W. Nothing here rounds outward; `rounding` charges for that. Arrays keep the
type they come in, so that a step of float32 numbers is evaluated in float32.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Protocol

import numpy as np

Array = np.ndarray


class Affine(Protocol):
    """inputs, output: numbers of tensors. bias [n] or None, bias_size [n] the size of what it was computed from.
    products: summed for an entry, 0 where entries only move."""

    @property
    def inputs(self) -> tuple[int, ...]: ...
    @property
    def output(self) -> int: ...
    @property
    def products(self) -> int: ...
    @property
    def bias(self) -> Array | None: ...
    @property
    def bias_size(self) -> Array | None: ...
    @property
    def greatest(self) -> float: ...
    @property
    def moves(self) -> bool:
        """Nothing is computed, neither forward nor back."""

    def forward(self, values: list[Array]) -> Array: ...
    def size(self, values: list[Array]) -> Array: ...
    def back(self, rows: Array) -> list[Array]: ...


@dataclass(frozen=True, eq=False)
class Part:
    """factor * v[source] lands on `place` of the output; None: all, in order; no factor."""

    size: int  # of the input
    place: Array | None
    source: Array | None
    factor: Array | None

    def take(self, value: Array) -> Array:
        taken = value if self.source is None else value[:, self.source]
        return taken if self.factor is None else taken * self.factor.astype(value.dtype, copy=False)

    @cached_property
    def unique(self) -> bool:
        return self.source is None or len(np.unique(self.source)) == len(self.source)

    def give(self, rows: Array) -> Array:
        """The transposed map."""
        rows = rows if self.place is None else rows[:, self.place]
        rows = rows if self.factor is None else rows * self.factor
        if self.source is None:
            return rows
        found = np.zeros((len(rows), self.size))
        if self.unique:
            found[:, self.source] = rows
        elif len(self.source):
            order = np.argsort(self.source, kind="stable")
            ordered = self.source[order]
            starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
            found[:, ordered[starts]] = np.add.reduceat(rows[:, order], starts, axis=1)
        return found


@dataclass(frozen=True, eq=False)
class Entrywise:
    """Sums of parts: moves, sums, factors."""

    inputs: tuple[int, ...]
    output: int
    entries: int
    parts: tuple[Part, ...]
    products: int
    bias: Array | None = None
    bias_size: Array | None = None

    @cached_property
    def greatest(self) -> float:
        return _greatest([part.factor for part in self.parts if part.factor is not None], 1.0)

    @cached_property
    def moves(self) -> bool:
        return all(part.unique and part.factor is None for part in self.parts) and self.products == 0

    def forward(self, values: list[Array]) -> Array:
        return self._summed(values, self.parts)

    def size(self, values: list[Array]) -> Array:
        return self._summed(values, self._sizes)

    @cached_property
    def _sizes(self) -> tuple[Part, ...]:
        return tuple(
            Part(part.size, part.place, part.source, None if part.factor is None else np.abs(part.factor))
            for part in self.parts
        )

    def _summed(self, values: list[Array], parts: tuple[Part, ...]) -> Array:
        if len(parts) == 1 and parts[0].place is None:
            return parts[0].take(values[0])
        found = np.zeros((len(values[0]), self.entries), values[0].dtype)
        for part, value in zip(parts, values, strict=True):
            place = slice(None) if part.place is None else part.place
            found[:, place] += part.take(value)
        return found

    def back(self, rows: Array) -> list[Array]:
        return [part.give(rows) for part in self.parts]


class _Weighted:
    """One input times weights, or what else `apply` does with weights of their shape."""

    weights: Array

    @cached_property
    def greatest(self) -> float:
        return _greatest([self.weights], 0.0)

    @cached_property
    def _size(self) -> Array:
        return np.abs(self.weights)

    def apply(self, value: Array, weights: Array) -> Array:
        raise NotImplementedError

    def forward(self, values: list[Array]) -> Array:
        return self.apply(values[0], self.weights.astype(values[0].dtype, copy=False))

    def size(self, values: list[Array]) -> Array:
        return self.apply(values[0], self._size)


@dataclass(frozen=True, eq=False)
class Dense(_Weighted):
    """x [B, lead, k] @ weights [k, m]."""

    inputs: tuple[int, ...]
    output: int
    weights: Array
    bias: Array | None = None
    bias_size: Array | None = None
    moves: bool = field(default=False, init=False)

    @property
    def products(self) -> int:
        return len(self.weights)

    def apply(self, value: Array, weights: Array) -> Array:
        return (value.reshape(-1, len(weights)) @ weights).reshape(len(value), -1)

    def back(self, rows: Array) -> list[Array]:
        return [self.apply(rows, self.weights.T)]


@dataclass(frozen=True, eq=False)
class Conv(_Weighted):
    """x [B, C, *S] padded with 0, weights [groups, C_out / groups, C / groups * K] over windows [K]."""

    inputs: tuple[int, ...]
    output: int
    weights: Array
    shape: tuple[int, ...]  # C, *S
    spatial: tuple[int, ...]  # of the output
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]  # zeros before the input, along each axis
    bias: Array | None = None
    bias_size: Array | None = None
    moves: bool = field(default=False, init=False)

    @property
    def products(self) -> int:
        return int(self.weights.shape[2])

    @cached_property
    def _padded(self) -> tuple[int, ...]:
        reach = [
            max(b + s, d * (k - 1) + t * (o - 1) + 1)
            for b, s, d, k, t, o in zip(
                self.before, self.shape[1:], self.dilations, self.kernel, self.strides, self.spatial, strict=True
            )
        ]
        return (self.shape[0], *reach)

    @cached_property
    def _inside(self) -> tuple[slice, ...]:
        ends = zip(self.before, self.shape[1:], strict=True)
        return (slice(None), slice(None), *(slice(b, b + s) for b, s in ends))

    def _windows(self) -> list[tuple[slice, ...]]:
        axes = list(zip(self.dilations, self.strides, self.spatial, strict=True))
        return [
            (
                slice(None),
                slice(None),
                *(slice(d * k, d * k + t * (o - 1) + 1, t) for k, (d, t, o) in zip(at, axes, strict=True)),
            )
            for at in product(*map(range, self.kernel))
        ]

    def apply(self, value: Array, weights: Array) -> Array:
        padded = np.zeros((len(value), *self._padded), value.dtype)
        padded[self._inside] = value.reshape(len(value), *self.shape)
        windows = self._windows()
        patches = np.empty((len(value), self.shape[0], len(windows), *self.spatial), value.dtype)
        for place, window in enumerate(windows):
            patches[:, :, place] = padded[window]
        grouped = patches.reshape(len(value), len(weights), weights.shape[2], math.prod(self.spatial))
        return np.matmul(weights, grouped).reshape(len(value), -1)

    def back(self, rows: Array) -> list[Array]:
        count, groups = len(rows), len(self.weights)
        grouped = rows.reshape(count, groups, self.weights.shape[1], math.prod(self.spatial))
        patches = np.matmul(self.weights.transpose(0, 2, 1), grouped)
        windows = self._windows()
        patches = patches.reshape(count, self.shape[0], len(windows), *self.spatial)
        padded = np.zeros((count, *self._padded))
        for place, window in enumerate(windows):
            padded[window] += patches[:, :, place]
        return [padded[self._inside].reshape(count, -1)]


def _greatest(factors: list[Array], least: float) -> float:
    """The greatest factor, in size."""
    return max([least, *(float(np.abs(factor).max(initial=0.0)) for factor in factors)])
