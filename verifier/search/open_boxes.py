"""The boxes that wait to be bounded, in arrays that grow but are not copied whenever some come or go."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..engine.plan import Array


class Frontier(NamedTuple):
    """Open boxes [D, n] float64; group [D]; alive [D, C]: open clauses; bound [D]; share [D] of all there was; signs
    [D, neurons] int8, as `DenseNetwork.bounds` has them; number [D]: of each, where what closes it is kept."""

    lower: Array
    upper: Array
    group: Array
    alive: Array
    bound: Array
    share: Array
    signs: Array
    number: Array

    def take(self, index: Array) -> "Frontier":
        return Frontier(*(part[index] for part in self))


def joined(parts: Sequence[Frontier]) -> Frontier:
    return Frontier(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))


class OpenBoxes:
    """Boxes in the order in which they came; each lies in a slot of its own, where it stays."""

    def __init__(self, first: Frontier) -> None:
        self._slots, self._order = first, np.arange(len(first.group))
        self._free = self._order[:0]  # slots

    def __len__(self) -> int:
        return len(self._order)

    @property
    def all(self) -> Frontier:
        """A copy."""
        return self._slots.take(self._order)

    @property
    def group(self) -> Array:
        return np.asarray(self._slots.group[self._order])

    @property
    def bound(self) -> Array:
        return np.asarray(self._slots.bound[self._order])

    @property
    def share(self) -> Array:
        return np.asarray(self._slots.share[self._order])

    def pop(self, places: Array) -> Frontier:
        """Those at these places in the order, which are open no longer."""
        chosen = self._order[places]
        found = self._slots.take(chosen)
        self._order = np.delete(self._order, places)
        self._free = np.concatenate([self._free, chosen])
        return found

    def add(self, new: Frontier) -> None:
        """They are the youngest."""
        count = len(new.group)
        if count > len(self._free):
            self._grow(count)
        slots, self._free = self._free[:count], self._free[count:]
        for kept, part in zip(self._slots, new, strict=True):
            kept[slots] = part
        self._order = np.concatenate([self._order, slots])

    def _grow(self, count: int) -> None:
        size = len(self._slots.group)
        more = max(count, size // 2)
        room = (np.empty((more, *part.shape[1:]), part.dtype) for part in self._slots)
        self._slots = joined([self._slots, Frontier(*room)])
        self._free = np.concatenate([self._free, np.arange(size, size + more)])
