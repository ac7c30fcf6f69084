"""Rows side by side in vectors: LANES rows of one box to a tile, one entry of each after the other."""

from ctypes import c_long, c_void_p
from typing import Any

import numpy as np

from .compiled import Program
from .plan import Array

_LINE = 64  # bytes that a processor reads at a time


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """An uninitialised array that begins with a cache line, as whole vectors are read fastest."""
    size = int(np.prod(shape)) * dtype.itemsize
    room = np.empty(size + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    return room[first : first + size].view(dtype).reshape(shape)


class Tiles:
    """T rows as `count` tiles, each of rows of one box, its last row repeated where it is not full.

    box [T] of the rows, equal ones next to each other, or None: all of one. program: c/rows.h in `dtype`.
    """

    def __init__(self, rows: int, box: Array | None, program: Program, dtype: np.dtype) -> None:
        self.rows, self.lanes, self.dtype, self._library = rows, program.lanes, dtype, program.library
        edges = np.empty(0, int) if box is None else np.flatnonzero(np.diff(box)) + 1
        counts = np.diff(np.concatenate([[0], edges, [rows]]))
        tiles = (counts + self.lanes - 1) // self.lanes
        last, first = counts.cumsum() - 1, tiles.cumsum() - tiles
        owner = np.arange(len(counts)).repeat(tiles)
        start = (last + 1 - counts)[owner] + (np.arange(len(owner)) - first[owner]) * self.lanes
        self.count = len(owner)
        self.order = np.minimum(start[:, None] + np.arange(self.lanes), last[owner][:, None])  # [tiles, lanes]
        self.box = np.zeros(self.count, np.int64) if box is None else np.array(box[self.order[:, 0]], np.int64)

    def empty(self, *inner: int) -> Array:
        """Uninitialised tiles of `inner` entries."""
        return aligned((self.count, *inner, self.lanes), self.dtype)

    def tiled(self, value: Array) -> Array:
        """[T, ...] -> [tiles, ..., lanes], always a copy: the programs write into some."""
        found = self.empty(*value.shape[1:])
        self._moved(self._library.to_tiles, converted(value, self.dtype), found, value[0].size)
        return found

    def untiled(self, value: Array) -> Array:
        """[tiles, ..., lanes] -> [T, ...]."""
        found = np.empty((self.rows, *value.shape[1:-1]), self.dtype)
        self._moved(self._library.from_tiles, value, found, found[0].size)
        return found

    def _moved(self, move: Any, source: Array, to: Array, entries: int) -> None:
        pointers = (c_void_p(array.ctypes.data) for array in (self.order, source, to))
        move(c_long(self.count), c_long(entries), *pointers)


def converted(value: Array, dtype: np.dtype) -> Array:
    """Of the type and without gaps; itself where it is."""
    with np.errstate(over="ignore"):  # infinite in float32
        return np.ascontiguousarray(value, dtype)
