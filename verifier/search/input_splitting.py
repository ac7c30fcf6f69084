"""Branch and bound on the input: for networks with few inputs, boxes are cut until a linear bound closes each.

The boxes of many owners are open together; every batch is shared fairly among them.

Every box gets DeepPoly's bounds of its own, many boxes at a time and in float64 throughout, so that what closes a box
is already the proof. A row's lower line A · x + b cuts the box as well: where it is positive the clause is refuted, and
what is left of the box is all there is to search (interval constraint propagation on the lines).
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..bounds import Box
from ..graph import Graph
from ..ops import Params, evaluate
from .clauses import Group
from .cost import box_seconds
from .cut import cut
from .row_lines import Prospect, RowBounder, RowLines, Stop

# (group, clause, lower [n], upper [n]) -> whether exact arithmetic refutes the clause on that box
Refuter = Callable[[int, int, Tensor, Tensor], bool]

_ROUND = 0.4  # seconds that one batch should take at most, as `cost` reckons them
_LEAST = 32  # boxes in the first batch
_LATELY = 16  # boxes
_ROW, _LINE = 4, 6  # copies of a box's rows, and of their lines, that are alive together
_HALVINGS = 3  # of a box, at most, before its parts are bounded
_BORDERS = 16  # clauses on boxes in one batch, at most, that exact arithmetic looks at


class Frontier(NamedTuple):
    """Open boxes [D, n] float64; group [D]; alive [D, C]: open clauses; bound [D]; share [D] of all there was; signs
    [D, neurons] int8, as `DenseNetwork.bounds` has them."""

    lower: Tensor
    upper: Tensor
    group: Tensor
    alive: Tensor
    bound: Tensor
    share: Tensor
    signs: Tensor

    def take(self, index: Tensor) -> "Frontier":
        return Frontier(*(part[index] for part in self))


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
        graph: Graph,
        params: Params,
        groups: list[Group],
        owners: list[int],
        *,
        batch: int,
        most: int,
        memory: int,
        stop: Stop,
        exact: Refuter = lambda *_: False,
    ) -> None:
        """owners: of each group, numbered from 0 on; batch: boxes bounded together at most; most: open boxes beyond
        which the search goes depth first; memory, stop: as in `unstable_preactivations`; exact: asked where a bound is
        within rounding of zero."""
        self._exact = exact
        self._graph, self._params, self._most = graph, params, most
        self._rows, self._offset, alive = padded(groups)
        lower, upper = (torch.stack([group.proof[end] for group in groups]) for end in (0, 1))
        held = 8 * self._offset[0].numel() * (_ROW * self._rows.shape[3] + _LINE * lower.shape[1])
        self._largest = max(1, min(batch, int(_ROUND / box_seconds(graph, params)), memory // held))
        self._batch = min(self._largest, _LEAST)
        self._bounder = RowBounder(graph, params, Box(lower, upper), self._rows, self._offset, memory=memory, stop=stop)
        count = len(groups)
        self._owner = torch.tensor(owners)
        none, share = lower.new_full((count,), -torch.inf), 1 / self._owner.bincount()[self._owner].double()
        signs = torch.zeros(count, self._bounder.neurons, dtype=torch.int8)
        self.open = Frontier(lower, upper, torch.arange(count), alive, none, share, signs)
        self.visited = [0] * len(self._owner.bincount())  # boxes of each owner
        self._growth = [1.0] * len(self.visited)
        self.stuck: set[int] = set()  # owners of whom a box too narrow to be split was left open

    def standing(self) -> Standing:
        owner, count = self._owner[self.open.group], len(self.visited)
        bound, none = self.open.bound, torch.zeros(count, dtype=torch.float64)
        return Standing(
            owner.bincount(minlength=count).tolist(),
            (none + torch.inf).scatter_reduce(0, owner, bound, "amin").tolist(),
            none.scatter_add(0, owner, self.open.share).tolist(),
            list(self._growth),
        )

    def _count(self) -> list[int]:
        return self._owner[self.open.group].bincount(minlength=len(self.visited)).tolist()

    def crowded(self) -> int | None:
        """Who holds the most, where even depth first there is no room for the open boxes."""
        if len(self.open.bound) <= 2 * self._most:
            return None
        return int(self._owner[self.open.group].bincount().argmax())

    def drop(self, owner: int) -> None:
        """Forgets the boxes of one owner."""
        self.open = self.open.take((self._owner[self.open.group] != owner).nonzero().flatten())

    def run_round(self) -> list[tuple[int, int, Tensor]]:
        """Bounds the next boxes. Returns points that float64 finds unsafe: number of group and clause, x [n]; some of
        each owner."""
        chosen = self._next()
        lines, signs = self._bounder(Box(chosen.lower, chosen.upper), chosen.group, chosen.signs)
        alive = chosen.alive & ~lines.refuted
        self._refute_borders(chosen, alive, lines)
        found = self._unsafe(chosen, alive, lines)
        lower, upper, alive = cut(lines, chosen.lower, chosen.upper, alive)
        bound = lines.best.where(alive, lines.best.new_tensor(torch.inf)).amin(1)
        rest = chosen._replace(lower=lower, upper=upper, alive=alive, bound=bound, signs=signs)
        keep = alive.any(1).nonzero().flatten()
        before = self._count()
        self._split(rest.take(keep), lines.prospect(lower, upper).take(keep))
        after = self._count()
        for owner, served in enumerate(self._owner[chosen.group].bincount(minlength=len(after)).tolist()):
            self.visited[owner] += served
            born = (after[owner] - before[owner]) / max(1, served)
            self._growth[owner] += min(1.0, served / _LATELY) * (born - self._growth[owner])
        self._batch = min(self._largest, 2 * self._batch)
        return found

    def _refute_borders(self, chosen: Frontier, alive: Tensor, lines: RowLines) -> None:
        """Takes from `alive` what only rounding leaves open."""
        near = alive & (lines.best >= -lines.needed.amax(2))
        for box, clause in near.nonzero()[:_BORDERS].tolist():
            if self._exact(int(chosen.group[box]), clause, chosen.lower[box], chosen.upper[box]):
                alive[box, clause] = False

    def _next(self) -> Frontier:
        """Of each owner its share of the places: the boxes with the lowest bounds, or of who holds more than its share
        of too little room the deepest. Where there are more owners than places, those served least come first."""
        count = len(self.open.bound)
        held = self._held()
        waiting = sorted(held, key=lambda owner: self.visited[owner])[: self._batch]
        parts, places = [], self._batch
        for others, owner in zip(
            range(len(waiting), 0, -1), sorted(waiting, key=lambda each: len(held[each])), strict=True
        ):
            own = held[owner]
            share = min(len(own), places // others)
            places -= share
            deep = count > self._most and len(own) * len(held) > self._most
            best = slice(len(own) - share, None) if deep else self.open.bound[own].topk(share, largest=False).indices
            parts.append(own[best])
        index = torch.cat(parts)
        rest = torch.ones(count, dtype=torch.bool)
        rest[index] = False
        chosen = self.open.take(index)
        self.open = self.open.take(rest.nonzero().flatten())
        return chosen

    def _held(self) -> dict[int, Tensor]:
        """Each owner's open boxes, by number, the oldest first."""
        owner = self._owner[self.open.group]
        counts = owner.bincount().tolist()
        single = max(counts) == len(owner)
        order = torch.arange(len(owner)) if single else owner.argsort(stable=True)
        return {each: own for each, own in enumerate(order.split(counts)) if len(own)}

    def _split(self, rest: Frontier, prospect: Prospect) -> None:
        """Every box cut in two, and these again as long as they are not expected to be closed either."""
        parts = [self.open]
        for _ in range(_HALVINGS):
            rest, prospect = self._halved(rest, prospect)
            again = ((prospect.expected < 0) & rest.alive).any(1)
            parts.append(rest.take(~again))
            rest, prospect = rest.take(again), prospect.take(again)
        self.open = Frontier(*(torch.cat(pieces) for pieces in zip(*parts, rest, strict=True)))

    def _halved(self, rest: Frontier, prospect: Prospect) -> tuple[Frontier, Prospect]:
        """Every box cut across the input where that helps the open clauses most."""
        axis = (prospect.score * rest.alive.unsqueeze(2)).sum(1).argmax(1, keepdim=True)
        low, high = rest.lower.gather(1, axis), rest.upper.gather(1, axis)
        middle = low + (high - low) / 2
        wide = ((low < middle) & (middle < high)).squeeze(1)  # float64 has a number in between
        self.stuck.update(self._owner[rest.group[~wide]].tolist())
        below = rest._replace(upper=rest.upper.scatter(1, axis, middle), share=rest.share / 2).take(wide)
        above = rest._replace(lower=rest.lower.scatter(1, axis, middle), share=rest.share / 2).take(wide)
        half = prospect.halved(axis).take(wide)
        both = Frontier(*(torch.cat(pair) for pair in zip(below, above, strict=True)))
        return both, Prospect(*(torch.cat([part, part]) for part in half))

    def _unsafe(self, chosen: Frontier, alive: Tensor, lines: RowLines) -> list[tuple[int, int, Tensor]]:
        """Of each open box the corner where its lowest line is least, and its centre."""
        index = alive.any(1).nonzero().flatten()
        if len(index) == 0:
            return []
        corners = lines.corner(Box(chosen.lower, chosen.upper), alive)[index]
        points = torch.cat([corners, (chosen.lower[index] + chosen.upper[index]) / 2])
        outputs = evaluate(self._graph, self._params, points.reshape(-1, *self._graph.input_shape))
        owner = index.repeat(2)
        group = chosen.group[owner]
        values = (self._rows[group] * outputs[:, None, None]).sum(-1) + self._offset[group]
        broken = (values <= 0).all(2) & alive[owner]
        found, told = [], Counter[int]()
        for place, clause in broken.nonzero().tolist():
            asks = int(self._owner[group[place]])
            if told[asks] < _LEAST:
                told[asks] += 1
                found.append((int(group[place]), clause, points[place]))
        return found


def padded(groups: list[Group]) -> tuple[Tensor, Tensor, Tensor]:
    """rows [G, C, M, K], offset [G, C, M], alive [G, C]; clauses that a group does not have are not alive."""
    clauses = max(len(group.rows) for group in groups)
    most = max(group.rows.shape[1] for group in groups)
    outputs = groups[0].rows.shape[2]
    rows = torch.zeros(len(groups), clauses, most, outputs, dtype=torch.float64)
    offset = torch.zeros(len(groups), clauses, most, dtype=torch.float64)
    alive = torch.zeros(len(groups), clauses, dtype=torch.bool)
    for place, group in enumerate(groups):
        count, given = group.rows.shape[:2]
        spelled = torch.arange(most).clamp(max=given - 1)  # the last row again
        rows[place, :count], offset[place, :count] = group.rows[:, spelled], group.offset[:, spelled]
        alive[place, :count] = group.alive
    return rows, offset, alive
