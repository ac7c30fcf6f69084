"""A first look for a witness of a query, by onnxruntime alone: random points and corners of the boxes, then points
between the most promising ones and new corners. It costs less than any bound and needs no gradient.

It comes before all bounds because of boxes that no float32 number lies in: where onnxruntime breaks the property at the
nearest ones, and exact arithmetic does not, nothing is to be proved either (`confirm`)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import numpy as np

from ..answer import Verdict, Witness
from ..search.clauses import Group
from ..spec import Clause
from ..spec.judge import unsafe
from ..spec.settle import settlers
from .ledger import still_open
from .run import Ended, Run

_ROUNDS = 2
_POINTS, _FEWEST = 128, 8  # of a region, per round
_WORK = 1 << 26  # multiplications, of a round
_REGIONS = 64  # of a case
_NEAR = 1e-3  # an excess in float64 below which a point is worth an exact look


def look(run: Run) -> Iterator[Ended]:
    cases = [case for case in still_open(run.cases) if case.groups and case.groups[0].clauses]
    count = int(max(_FEWEST, min(_POINTS, _WORK // run.engine.multiplications) // max(1, len(cases))))
    for case in cases:
        run.ledger.begin({case: 1})
        numbers = run.numbers(case)[:_REGIONS]
        witness = _at_points(run, numbers) or _witness(run, numbers, count)
        run.ledger.bill({case: 1})
        if witness is not None:
            yield run.end(case, Verdict.FALSIFIED, "random points", witness)
        yield from run.late([case])


def _at_points(run: Run, numbers: Sequence[int]) -> Witness | None:
    """Of regions where a runtime is fed one point: whether it breaks the property there, where exact numbers do not, is
    to be known before any bound."""
    for number in numbers:
        lower, upper = run.groups[number].attack
        found = run.falsifier.replay(number, lower) if np.array_equal(lower, upper) else None
        if found is not None:
            return found
    return None


def _witness(run: Run, numbers: Sequence[int], count: int) -> Witness | None:
    random, shape = np.random.default_rng(run.effort.seed), run.network.graph.input_shape
    regions = [
        _Region(run.groups[number], lambda point, number=number: run.falsifier.replay(number, point))  # type: ignore[misc]
        for number in numbers
        if run.groups[number].attackable
    ]
    for _ in range(_ROUNDS):
        for region in regions:
            for point in region.propose(random, count):
                # one by one: a file may hard-code a batch of 1 behind a symbolic one
                found = region.judge(point, run.network.runtime.logits(point.reshape(1, *shape))[0])
                if found is not None:
                    return found
            if run.ledger.stop():
                return None
    return None


class _Region:
    """A group, with the best point so far of each clause. confirmed: asked of points where no float32 number lies in an
    input's interval; there exact arithmetic has a say too."""

    def __init__(self, group: Group, confirmed: Callable[[np.ndarray], Witness | None]) -> None:
        self._clauses: tuple[Clause, ...] = group.clauses
        self._confirmed = confirmed if group.clauses[0].between else None
        self._lower, self._upper = group.attack
        self._best: dict[int, tuple[float, np.ndarray]] = {}
        self._settlers = cycle(dict.fromkeys(settlers(group.clauses, *group.attack)))  # a round for each of them

    def propose(self, random: np.random.Generator, count: int) -> np.ndarray:
        """[N, n]: corners and inner points, from the second round on half of each from a promising one."""
        share = random.random((count, len(self._lower)), np.float32)
        share[::2] = share[::2].round()
        points = np.clip(self._lower + (self._upper - self._lower) * share, self._lower, self._upper)
        if self._best:
            promising = np.stack([point for _, point in self._best.values()])[
                random.integers(len(self._best), size=count)
            ]
            kept = random.random(points.shape) < random.random((count, 1))
            points = np.where(kept, promising, points)
        settle = next(self._settlers)
        return points if settle is None else settle(points)

    def judge(self, point: np.ndarray, y: np.ndarray) -> Witness | None:
        """A witness where some clause is unsafe; else the least violated point of each is remembered."""
        for place, clause in enumerate(self._clauses):
            excess = -np.inf
            for row in clause.rows:
                total = float(row.offset)
                for terms, values in ((row.terms, y), (row.inputs, point)):
                    total += sum(float(factor) * float(values[index]) for index, factor in terms)
                excess = max(excess, total)
            if excess < _NEAR and unsafe(clause, point, y):
                return Witness(point, y) if self._confirmed is None else self._confirmed(point)
            if place not in self._best or excess < self._best[place][0]:
                self._best[place] = (excess, point)
        return None
