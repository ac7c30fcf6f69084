"""Rows side by side in vectors: LANES rows of one box to a tile, one entry of each after the other."""

import numpy as np

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

    box [T] of the rows, equal ones next to each other, or None: all of one.
    """

    def __init__(self, rows: int, box: Array | None, lanes: int, dtype: np.dtype) -> None:
        self.rows, self.lanes, self.dtype = rows, lanes, dtype
        self._plain = box is None  # in order, but for the last row again at the end
        if box is None:
            counts = np.array([rows])
        else:
            edges = np.flatnonzero(np.diff(box)) + 1
            counts = np.diff(np.concatenate([[0], edges, [rows]]))
        tiles = (counts + lanes - 1) // lanes
        last, first = counts.cumsum() - 1, tiles.cumsum() - tiles
        owner = np.arange(len(counts)).repeat(tiles)
        start = (last + 1 - counts)[owner] + (np.arange(len(owner)) - first[owner]) * lanes
        self.count = len(owner)
        self._order = np.minimum(start[:, None] + np.arange(lanes), last[owner][:, None]).ravel()
        self.box = np.zeros(self.count, np.int64) if box is None else np.ascontiguousarray(box[self._order[::lanes]])

    def empty(self, *inner: int) -> Array:
        """Uninitialised tiles of `inner` entries."""
        return aligned((self.count, *inner, self.lanes), self.dtype)

    def tiled(self, value: Array, dtype: np.dtype | None = None) -> Array:
        """[T, ...] -> [tiles, ..., lanes], always a copy: the programs write into some."""
        spelled = value if self._plain and len(value) == len(self._order) else value[self._order]
        found = aligned((self.count, *value.shape[1:], self.lanes), dtype or self.dtype)
        with np.errstate(over="ignore"):  # infinite in float32
            found[:] = np.moveaxis(spelled.reshape(self.count, self.lanes, *value.shape[1:]), 1, -1)
        return found

    def untiled(self, value: Array) -> Array:
        """[tiles, ..., lanes] -> [T, ...]."""
        spelled = np.moveaxis(value, -1, 1).reshape(self.count * self.lanes, *value.shape[1:-1])
        if self._plain:
            return spelled[: self.rows]
        found = np.empty((self.rows, *spelled.shape[1:]), spelled.dtype)
        found[self._order] = spelled
        return found
