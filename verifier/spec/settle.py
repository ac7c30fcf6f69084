"""Points of a box moved to where relations of inputs hold, in float32 numbers: candidates, of which nothing is sure.

Each relation that a point breaks is projected on, in turn (Kaczmarz' method); at the end one entry takes up what is
left, rounded to the side where the relation holds. An equality is two relations: it holds in float32 where the numbers
are round, so entries of one are rounded to few digits first.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .query import Clause, Row

_PROJECTIONS, _REPAIRS = 16, 4  # times around all relations
_MOST = 1000  # steps
_DIGITS = 16  # binary ones, of entries in equalities


class _Relation(NamedTuple):
    """factors [k] · x[entries [k]] + offset <= 0."""

    entries: np.ndarray
    factors: np.ndarray
    offset: float
    strict: bool

    def broken(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where it does not hold of x [N, n], and by how much: [N]."""
        excess = x[:, self.entries] @ self.factors + self.offset
        return excess >= 0 if self.strict else excess > 0, excess


class Settler:
    """For the relations of one clause. lower, upper: the box's float32 ends [n]."""

    def __init__(self, relations: Sequence[Row], lower: np.ndarray, upper: np.ndarray) -> None:
        self._relations = [_relation(row) for row in relations]
        self._lower, self._upper = lower.astype(np.float64), upper.astype(np.float64)
        size = np.maximum(np.abs(self._lower), np.abs(self._upper)).max(initial=0)
        self._grid = 2.0 ** (np.frexp(size)[1] - _DIGITS)
        self._round = _in_equalities(relations)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """points [N, n] float32 in the box, those that break a relation moved as near as it goes."""
        given = points.astype(np.float64)
        broken = np.zeros(len(points), bool)
        for relation in self._relations:
            broken |= relation.broken(given)[0]
        if not broken.any():
            return points
        x, most = given[broken], _MOST // len(self._relations)
        for _ in range(max(1, min(_PROJECTIONS, most))):
            if not self._around(x, _projected):
                break
        x[:, self._round] = np.round(x[:, self._round] / self._grid) * self._grid
        x = self._inside(x.astype(np.float32).astype(np.float64))
        for _ in range(max(1, min(_REPAIRS, most))):
            if not self._around(x, self._repaired):
                break
        moved = points.copy()
        moved[broken] = x
        return moved

    def _around(self, x: np.ndarray, step: "Step") -> bool:
        """One step for each relation, where a point breaks it; whether one does."""
        moved = False
        for relation in self._relations:
            broken, excess = relation.broken(x)
            if broken.any():
                moved = True
                part = step(relation, x[np.ix_(broken, relation.entries)], excess[broken])
                x[np.ix_(broken, relation.entries)] = self._inside(part, relation.entries)
        return moved

    def _inside(self, x: np.ndarray, index: "np.ndarray | slice" = slice(None)) -> np.ndarray:
        return np.clip(x, self._lower[index], self._upper[index])

    def _repaired(self, relation: _Relation, x: np.ndarray, excess: np.ndarray) -> np.ndarray:
        """One entry moved: of those that can take up all of the excess that with the least factor, else who can most.

        Rows are scaled to a least factor of 1: a sum of whole multiples divided by it stays exact.
        """
        sizes, index = np.abs(relation.factors), relation.entries
        room = sizes * np.where(relation.factors > 0, x - self._lower[index], self._upper[index] - x)
        score = np.where(room >= excess[:, None], 1 + sizes.min() / sizes, room / (excess[:, None] + room + 1e-300))
        chosen = score.argmax(1)[:, None]
        factor = relation.factors[chosen]
        exact = np.take_along_axis(x, chosen, 1) - excess[:, None] / factor
        with np.errstate(over="ignore"):
            moved = exact.astype(np.float32)
        down = np.float32(-np.inf) * np.sign(factor).astype(np.float32)
        beyond = (moved - exact) * factor >= 0 if relation.strict else (moved - exact) * factor > 0
        moved = np.where(beyond, np.nextafter(moved, down), moved)
        np.put_along_axis(x, chosen, moved.astype(np.float64), 1)
        return x


Step = Callable[[_Relation, np.ndarray, np.ndarray], np.ndarray]


def settlers(clauses: Sequence[Clause], lower: np.ndarray, upper: np.ndarray) -> list[Settler | None]:
    """One for each of the clauses over this box, the same for the same relations; None where it has none."""
    known: dict[tuple[Row, ...], Settler | None] = {(): None}
    for clause in clauses:
        if clause.relations not in known:
            known[clause.relations] = Settler(clause.relations, lower, upper)
    return [known[clause.relations] for clause in clauses]


def _projected(relation: _Relation, x: np.ndarray, excess: np.ndarray) -> np.ndarray:
    return x - (excess / (relation.factors @ relation.factors))[:, None] * relation.factors


def _relation(row: Row) -> _Relation:
    scale = min(abs(factor) for _, factor in row.inputs)
    factors = np.array([float(factor / scale) for _, factor in row.inputs])
    return _Relation(np.array([index for index, _ in row.inputs]), factors, float(row.offset / scale), row.strict)


def _in_equalities(relations: Sequence[Row]) -> np.ndarray:
    """The entries [k] of relations whose opposite is one too."""
    sums = {(row.inputs, row.offset) for row in relations}
    opposites = (tuple((i, -f) for i, f in row.inputs) for row in relations)
    found = {
        index
        for row, opposite in zip(relations, opposites, strict=True)
        if (opposite, -row.offset) in sums
        for index, _ in row.inputs
    }
    return np.array(sorted(found), dtype=np.int64)
