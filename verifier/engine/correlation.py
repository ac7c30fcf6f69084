"""Convolutions and what carries rows back through them: a product of the weights with what every place sees.

The images of a few inputs lie side by side, entry by entry, so that what is copied and multiplied is long.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from .plan import Array, Shape, Taps

_WIDE = 1 << 22  # bytes of what the places see, of all that are multiplied at once
_ROOM, _SIDE = 1 << 18, 16  # bytes of inputs that are brought side by side: a cache's, or as few as pay


class _Phase(NamedTuple):
    """target: rows and columns of its places in the map. seen: of each tap those of what the places see in the padded
    one. places: how many, down and across. matrix [groups, out of one, taps · in of one]."""

    target: tuple[slice, slice]
    seen: list[tuple[slice, slice]]
    places: tuple[int, int]
    matrix: Array


class Correlation:
    """to[o, q · step + first] = sum of weight[t, o, i] · from[i, q · stride + tap[t]], zero beyond the map `inner`."""

    def __init__(self, phases: Sequence[Taps], groups: int, inner: Shape, outer: Shape, dtype: np.dtype) -> None:
        self._groups, self._inner, self._outer = groups, inner, outer
        self._low = [max((-int(each.tap[:, axis].min()) for each in phases), default=0) for axis in range(2)]
        self._low = [max(0, low) for low in self._low]
        self._phases = [self._phase(each, dtype) for each in phases]
        ends = [pair for phase in self._phases for pair in phase.seen]
        self._extent = [
            max(low + size, *(pair[axis].stop for pair in ends), 0)
            for axis, (low, size) in enumerate(zip(self._low, inner[1:], strict=True))
        ]
        self._most = max((phase.matrix[:, 0].size * prod(phase.places) for phase in self._phases), default=1)

    def _phase(self, phase: Taps, dtype: np.dtype) -> _Phase:
        (fy, fx), (sy, sx), (dy, dx), (y, x) = phase.first, phase.step, phase.stride, self._low
        rows, columns = len(range(fy, self._outer[1], sy)), len(range(fx, self._outer[2], sx))
        seen = [
            (slice(y + ty, y + ty + (rows - 1) * dy + 1, dy), slice(x + tx, x + tx + (columns - 1) * dx + 1, dx))
            for ty, tx in phase.tap.tolist()
        ]
        weight = phase.weight.astype(dtype).transpose(1, 0, 2)  # [out, taps, in of a group]
        matrix = np.ascontiguousarray(weight.reshape(self._groups, -1, weight[0].size))
        return _Phase((slice(fy, None, sy), slice(fx, None, sx)), seen, (rows, columns), matrix)

    def __call__(self, value: Array, absolute: bool) -> Array:
        """value [N, inner, flat] -> [N, outer, flat], in the same order in memory; absolute: by the weights' sizes."""
        count, each = len(value), self._inner[0] // self._groups
        near = count if value.flags.f_contiguous else max(_SIDE, _ROOM // max(1, value[:1].nbytes))
        size = max(1, min(count, near, _WIDE // (self._most * value.itemsize)))
        given = value.T.reshape(self._groups, each, *self._inner[1:], count)
        padded = np.zeros((self._groups, each, *self._extent, size), value.dtype)
        found = np.zeros((count, prod(self._outer)), value.dtype, order="F" if value.flags.f_contiguous else "C")
        to = found.T.reshape(self._groups, -1, *self._outer[1:], count)
        (y, x), (height, width) = self._low, self._inner[1:]
        for first in range(0, count, size):
            part = given[..., first : first + size]
            source = padded[..., : part.shape[-1]]
            source[:, :, y : y + height, x : x + width] = part
            for phase in self._phases:
                _add(phase, source, to[..., first : first + size], absolute)
        return found


def _add(phase: _Phase, source: Array, found: Array, absolute: bool) -> None:
    """source [groups, in of one, rows, columns, N]; found [groups, out of one, rows, columns, N]."""
    groups, each, count = *source.shape[:2], source.shape[-1]
    columns = np.empty((groups, len(phase.seen), each, *phase.places, count), source.dtype)
    for tap, (down, across) in enumerate(phase.seen):
        columns[:, tap] = source[:, :, down, across]
    matrix = abs(phase.matrix) if absolute else phase.matrix
    total = matrix @ columns.reshape(groups, matrix.shape[2], -1)
    down, across = phase.target
    found[:, :, down, across] = total.reshape(groups, -1, *phase.places, count)
