"""What input splitting did with its boxes, for each group the tree of them: the numbers of boxes are given out here."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..answer.proof import LARGE, Closed, Halve, Narrow, Node, NotKept, Tree
from ..engine.plan import Array

_BOX, _END = 500, 120  # bytes of a box, of an end that moved

Parts = tuple[int, float, int, int]  # the entry and where it is halved, the numbers of the upper and the lower part


class KeptBoxes:
    """Within `memory` bytes; a group whose boxes are too many keeps none. The boxes of whole groups come first."""

    def __init__(self, alive: Array, memory: int) -> None:
        """alive [G, C]: the clauses that are to be closed."""
        self._clauses = [tuple(np.flatnonzero(own).tolist()) for own in alive]
        self._left, self._next = memory, len(alive)
        self._cuts: dict[int, list[tuple[int, int, float]]] = {}
        self._closing: set[int] = set()
        self._parts: dict[int, Parts] = {}
        self._lost: dict[int, str] = {}

    def bounded(self, number: Array, steps: Sequence[tuple[Array, Array]], some: Array) -> None:
        """Boxes [D, n], and what is left of them after each row's cut; some [D]: clauses were closed before, not
        all."""
        self._closing.update(number[some].tolist())
        for before, after in pairwise(np.stack(ends, 2) for ends in steps):
            moved = before != after
            for row in np.flatnonzero(moved.any((1, 2))).tolist():
                places = np.argwhere(moved[row]).tolist()
                ends = tuple((entry, side, float(after[row, entry, side])) for entry, side in places)
                self._left -= _END * len(ends)
                self._cuts.setdefault(int(number[row]), []).extend(ends)

    def halved(self, number: Array, entry: Array, point: Array) -> tuple[Array, Array]:
        """Numbers of the lower and of the upper parts of boxes [D]."""
        low = self._next + 2 * np.arange(len(number))
        self._next += 2 * len(number)
        self._left -= _BOX * len(number)
        for box, axis, middle, own in zip(number.tolist(), entry.tolist(), point.tolist(), low.tolist(), strict=True):
            self._parts[box] = axis, middle, own + 1, own
        if self._left < 0:
            self._cuts, self._parts, self._closing = {}, {}, set()
        return low, low + 1

    def lose(self, groups: Sequence[int], why: str) -> None:
        for group in groups:
            self._lost.setdefault(group, why)

    def tree(self, group: int) -> Tree | NotKept:
        """Of a group whose boxes are all closed."""
        if group in self._lost or self._left < 0:
            return NotKept(self._lost.get(group, LARGE))
        found, waiting = list[Node](), [group]
        while waiting:
            box = waiting.pop()
            cuts, parts = self._cuts.get(box), self._parts.get(box)
            if cuts:
                found.append(Narrow(tuple(cuts)))
            if parts is None:
                found.append(Closed())
                continue
            entry, point, upper, lower = parts
            found.append(Halve(entry, point, not cuts and box in self._closing))
            waiting += [lower, upper]
        return Tree(self._clauses[group], tuple(found))
