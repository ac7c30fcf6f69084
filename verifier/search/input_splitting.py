"""Branch and bound on the input: for networks with few inputs, boxes are cut until a linear bound closes each.

The boxes of many owners are open together; every batch is shared fairly among them.

Every box gets DeepPoly's bounds of its own, many boxes at a time and in float64 throughout, so that what closes a box
is already the proof. A row's lower line A · x + b cuts the box as well: where it is positive the clause is refuted, and
what is left of the box is all there is to search (interval constraint propagation on the lines).
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..answer.proof import EXACT
from ..engine.engine import Engine
from ..engine.plan import Array
from ..engine.preactivations import Stop
from ..functions import Box
from .clauses import Group
from .cost import box_seconds
from .cut import CUT, cut
from .kept_boxes import KeptBoxes
from .open_boxes import Frontier, OpenBoxes, joined
from .row_lines import Prospect, RowBounder, RowLines

# (group, clause, lower [n], upper [n]) -> whether exact arithmetic refutes the clause on that box
Refuter = Callable[[int, int, Array, Array], bool]

_ROUND = 0.4  # seconds that one batch should take at most, as `cost` reckons them
_LEAST = 32  # boxes in the first batch
_LATELY = 16  # boxes
_ROW, _LINE = 4, 6  # copies of a box's rows, and of their lines, that are alive together
_HALVINGS = 3  # of a box, at most, before its parts are bounded
_BORDERS = 16  # clauses on boxes in one batch, at most, that exact arithmetic looks at


class Standing(NamedTuple):
    """Of each owner: boxes open, the lowest bound of one, the part of its boxes that is open, by number of halvings,
    and how many new ones came of each that was bounded lately."""

    open: list[int]
    bound: list[float]
    left: list[float]
    growth: list[float]


class InputSplitting:
    """The frontier over all groups. `run_round` bounds one batch of boxes and splits what stays open."""

    def __init__(
        self,
        engine: Engine,
        groups: list[Group],
        owners: list[int],
        *,
        batch: int,
        most: int,
        memory: int,
        stop: Stop,
        exact: Refuter = lambda *_: False,
        proofs: int = 0,
    ) -> None:
        """owners: of each group, numbered from 0 on; batch: boxes bounded together at most; most: open boxes beyond
        which the search goes depth first; memory, stop: as in `relaxed`; exact: asked where a bound is within rounding
        of zero; proofs: bytes for the boxes' tree, 0 where nobody asks for it."""
        self._exact, self._engine, self._most = exact, engine, most
        self._rows, self._offset, alive = padded(groups)
        lower, upper = (np.stack([group.proof[end] for group in groups]) for end in (0, 1))
        held = 8 * self._offset[0].size * (_ROW * self._rows.shape[3] + _LINE * lower.shape[1])
        self._largest = max(1, min(batch, int(_ROUND / box_seconds(engine)), memory // held))
        self._batch = min(self._largest, _LEAST)
        self._bounder = RowBounder(engine, Box(lower, upper), self._rows, self._offset, memory=memory, stop=stop)
        count, self._owner = len(groups), np.array(owners)
        each = np.bincount(self._owner)
        none, share = np.full(count, -np.inf), 1 / each[self._owner]
        signs = np.zeros((count, self._bounder.neurons), np.int8)
        every = np.arange(count)
        self.open = OpenBoxes(Frontier(lower, upper, every, alive, none, share, signs, every))
        self.proofs = KeptBoxes(alive, proofs) if proofs else None
        self.visited = [0] * len(each)  # boxes of each owner
        self._growth = [1.0] * len(self.visited)
        self.dropped: set[int] = set()
        self.proved = np.full(len(each), np.inf)  # the least bound that closed a box or a part of it, of each owner
        self.stuck: set[int] = set()  # owners of whom a box too narrow to be split was left open

    def standing(self) -> Standing:
        owner, count = self._owner[self.open.group], len(self.visited)
        least = np.full(count, np.inf)
        with np.errstate(invalid="ignore"):  # NaN stays
            np.minimum.at(least, owner, self.open.bound)
        left = np.bincount(owner, self.open.share, count)
        held = np.bincount(owner, minlength=count).tolist()
        return Standing(held, least.tolist(), left.tolist(), list(self._growth))

    def _count(self, group: Array) -> list[int]:
        """Of boxes of these groups, how many are each owner's."""
        found: list[int] = np.bincount(self._owner[group], minlength=len(self.visited)).tolist()
        return found

    def groups_of(self, owner: int) -> list[int]:
        return [int(group) for group in np.flatnonzero(self._owner == owner)]

    def crowded(self) -> int | None:
        """Who holds the most, where even depth first there is no room for the open boxes."""
        if len(self.open) <= 2 * self._most:
            return None
        return int(np.argmax(self._count(self.open.group)))

    def drop(self, owner: int) -> None:
        """Forgets the boxes of one owner."""
        self.dropped.add(owner)
        self.open.pop(np.flatnonzero(self._owner[self.open.group] == owner))

    def run_round(self) -> list[tuple[int, int, Array]]:
        """Bounds the next boxes. Returns points that float64 finds unsafe: number of group and clause, x [n]; some of
        each owner."""
        chosen = self._next()
        # whoever checks a proof bounds each box by itself, and does not know what holds around it
        known = chosen.signs if self.proofs is None else np.zeros_like(chosen.signs)
        lines, signs = self._bounder(Box(chosen.lower, chosen.upper), chosen.group, known)
        alive = chosen.alive & ~lines.refuted
        self._note(chosen, lines)
        self._refute_borders(chosen, alive, lines)
        found = self._unsafe(chosen, alive, lines)
        if self.proofs is None:
            lower, upper, alive = cut(lines, chosen.lower, chosen.upper, alive)
        else:
            steps, refuted = [(chosen.lower, chosen.upper)], (chosen.alive & lines.refuted).any(1)
            some = np.asarray(refuted & alive.any(1))
            lower, upper, alive = cut(lines, chosen.lower, chosen.upper, alive, steps)
            self.proofs.bounded(chosen.number, steps, some)
        best = np.where(np.isnan(lines.best), -np.inf, lines.best)  # nothing is known
        bound = np.where(alive, best, np.inf).min(1)
        rest = chosen._replace(lower=lower, upper=upper, alive=alive, bound=bound, signs=signs)
        keep = np.flatnonzero(alive.any(1))
        new = self._split(rest.take(keep), lines.prospect(lower, upper).take(keep))
        for owner, (served, born) in enumerate(zip(self._count(chosen.group), self._count(new), strict=True)):
            self.visited[owner] += served
            grown = born / max(1, served)
            self._growth[owner] += min(1.0, served / _LATELY) * (grown - self._growth[owner])
        self._batch = min(self._largest, 2 * self._batch)
        return found

    def _note(self, chosen: Frontier, lines: RowLines) -> None:
        """What lines prove of boxes: their bound where that closes one, else what a cut takes it to exceed."""
        bound = np.where(lines.refuted, lines.best, CUT * lines.needed.max(2))
        told = np.where(chosen.alive & ~np.isnan(bound), bound, np.inf).min(1)  # where NaN is needed nothing is cut
        np.minimum.at(self.proved, self._owner[chosen.group], told)

    def _refute_borders(self, chosen: Frontier, alive: Array, lines: RowLines) -> None:
        """Takes from `alive` what only rounding leaves open; exact arithmetic proves of it that it is not negative."""
        near = alive & (lines.best >= -lines.needed.max(2))
        for box, clause in np.argwhere(near)[:_BORDERS].tolist():
            if self._exact(int(chosen.group[box]), clause, chosen.lower[box], chosen.upper[box]):
                alive[box, clause] = False
                owner = self._owner[chosen.group[box]]
                self.proved[owner] = min(self.proved[owner], 0.0)
                if self.proofs is not None:
                    self.proofs.lose([int(chosen.group[box])], EXACT)

    def _next(self) -> Frontier:
        """Of each owner its share of the places: the boxes with the lowest bounds, or of who holds more than its share
        of too little room the deepest. Where there are more owners than places, those served least come first."""
        count, bound, held = len(self.open), self.open.bound, self._held()
        waiting = sorted(held, key=lambda owner: self.visited[owner])[: self._batch]
        parts, places = [], self._batch
        for others, owner in zip(
            range(len(waiting), 0, -1), sorted(waiting, key=lambda each: len(held[each])), strict=True
        ):
            own = held[owner]
            share = min(len(own), places // others)
            places -= share
            deep = count > self._most and len(own) * len(held) > self._most
            parts.append(own[len(own) - share :] if deep else own[_lowest(bound[own], share)])
        return self.open.pop(np.concatenate(parts))

    def _held(self) -> dict[int, Array]:
        """Each owner's open boxes, by number, the oldest first."""
        owner = self._owner[self.open.group]
        counts = np.bincount(owner)
        single = counts.max() == len(owner)
        order = np.arange(len(owner)) if single else np.argsort(owner, kind="stable")
        return {each: own for each, own in enumerate(np.split(order, np.cumsum(counts)[:-1])) if len(own)}

    def _split(self, rest: Frontier, prospect: Prospect) -> Array:
        """Every box cut in two, and these again as long as they are not expected to be closed either: the groups of
        those that are new."""
        parts = list[Frontier]()
        for _ in range(_HALVINGS):
            rest, prospect = self._halved(rest, prospect)
            again = np.asarray(((prospect.expected < 0) & rest.alive).any(1))
            parts.append(rest.take(~again))
            rest, prospect = rest.take(again), prospect.take(again)
        new = joined([*parts, rest])
        self.open.add(new)
        return new.group

    def _halved(self, rest: Frontier, prospect: Prospect) -> tuple[Frontier, Prospect]:
        """Every box cut across the input where that helps the open clauses most."""
        every, axis = np.arange(len(rest.group)), (prospect.score * rest.alive[:, :, None]).sum(1).argmax(1)
        low, high = rest.lower[every, axis], rest.upper[every, axis]
        middle = low + (high - low) / 2
        wide = np.asarray((low < middle) & (middle < high))  # float64 has a number in between
        self.stuck.update(self._owner[rest.group[~wide]].tolist())
        ends = rest.lower.copy(), rest.upper.copy()
        for end in ends:
            end[every, axis] = middle
        below = rest._replace(upper=ends[1], share=rest.share / 2).take(wide)
        above = rest._replace(lower=ends[0], share=rest.share / 2).take(wide)
        if self.proofs is not None:
            low, high = self.proofs.halved(below.number, axis[wide], middle[wide])
            below, above = below._replace(number=low), above._replace(number=high)
        half = prospect.halved(axis).take(wide)
        both = joined([below, above])
        return both, Prospect(*(np.concatenate([part, part]) for part in half))

    def _unsafe(self, chosen: Frontier, alive: Array, lines: RowLines) -> list[tuple[int, int, Array]]:
        """Of each open box the corner where its lowest line is least, and its centre."""
        index = np.flatnonzero(alive.any(1))
        if len(index) == 0:
            return []
        corners = lines.corner(Box(chosen.lower, chosen.upper), alive)[index]
        points = np.concatenate([corners, (chosen.lower[index] + chosen.upper[index]) / 2])
        owner = np.tile(index, 2)
        group = chosen.group[owner]
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self._engine.evaluate(points)
            values = (self._rows[group] * outputs[:, None, None]).sum(-1) + self._offset[group]
        broken = (values <= 0).all(2) & alive[owner]
        found, told = list[tuple[int, int, Array]](), Counter[int]()
        for place, clause in np.argwhere(broken).tolist():
            asks = int(self._owner[group[place]])
            if told[asks] < _LEAST:
                told[asks] += 1
                found.append((int(group[place]), clause, points[place]))
        return found


def _lowest(bound: Array, count: int) -> Array:
    """Places of the `count` lowest, in order."""
    if count == len(bound):
        return np.argsort(bound, kind="stable")
    found = np.sort(np.argpartition(bound, count)[:count])
    return found[np.argsort(bound[found], kind="stable")]


def padded(groups: list[Group]) -> tuple[Array, Array, Array]:
    """rows [G, C, M, K], offset [G, C, M], alive [G, C]; clauses that a group does not have are not alive."""
    clauses = max(len(group.rows) for group in groups)
    most = max(group.rows.shape[1] for group in groups)
    outputs = groups[0].rows.shape[2]
    rows = np.zeros((len(groups), clauses, most, outputs))
    offset = np.zeros((len(groups), clauses, most))
    alive = np.zeros((len(groups), clauses), bool)
    for place, group in enumerate(groups):
        count, given = group.rows.shape[:2]
        spelled = np.minimum(np.arange(most), given - 1)  # the last row again
        rows[place, :count], offset[place, :count] = group.rows[:, spelled], group.offset[:, spelled]
        alive[place, :count] = group.alive
    return rows, offset, alive
