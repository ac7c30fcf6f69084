"""Clauses whose bound is the border itself: `unsat` of a strict comparison where the bound is exactly 0, say.

In float64 such a bound lies within its own rounding, whatever is split. Here it is taken in exact arithmetic, with the
numbers of the text: on the whole box, on boxes that input splitting makes, and where splits gave every ReLU its sign,
from multipliers that a linear program found and that fulfil its equations exactly once they are solved in fractions.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np

from ..arithmetic import Arithmetic
from ..engine.engine import Engine
from ..engine.errors import in_range
from ..engine.plan import Array
from ..functions import Box
from ..spec import Row
from .bounds import ExactBounds
from .linear import Linear
from .program import proves, solved
from .rational import BeyondExactError, Exact, of_fractions
from .signs import Signs, output_signs
from .triangles import Program
from .triangles import program as program_of

_BUDGET, _BOX_BUDGET = 100_000, 20_000  # entries, of a whole box and of a part
_MOST_BOXES, _MOST_OTHERS = 2000, 16  # parts of one group's box, for strict comparisons and for others
_MOST_ASKED = 64  # clauses on whole boxes
_MOST = 1 << 22  # multiplications of a network


class Group(Protocol):
    """What is asked of clauses over one box (`search.clauses`): proof, which covers it, [n]; exact, their rows in the
    numbers of the text; alive, those that nothing has refuted yet."""

    @property
    def proof(self) -> Box: ...
    @property
    def exact(self) -> tuple[tuple[Row, ...], ...]: ...
    @property
    def alive(self) -> Array: ...
    def exact_ends(self) -> tuple[list[Fraction], list[Fraction]]: ...


class Border:
    """For the clauses of these groups, by number. touched: groups of which some strict clause was refuted at the very
    border, of a network that rounds and may cross it; of such a network nothing else is refuted here, but for what the
    signs of its values show."""

    def __init__(self, engine: Engine, groups: Sequence[Group]) -> None:
        self._engine, self._groups = engine.real, groups
        self._rounds = engine.arithmetic is not Arithmetic.REAL
        self.touched = set[int]()
        self._linear = Linear(engine)
        self._small = not self._engine.rounding and engine.multiplications <= _MOST
        self._signs: dict[int, Signs] = {}
        self._roots: dict[int, ExactBounds | None] = {}
        self._usable: dict[int, bool] = {}
        self._tried: dict[int, int] = {}
        self._asked = 0

    def strict(self, group: int, clause: int) -> bool:
        """Some comparison of the clause excludes equality."""
        return any(row.strict for row in self._groups[group].exact[clause])

    def close(self, group: int) -> None:
        """Marks the group's strict clauses that exact bounds of its whole box refute."""
        known = self._groups[group]
        for clause in np.flatnonzero(known.alive).tolist():
            if self.strict(group, clause) and self.refutes(group, clause):
                known.alive[clause] = False

    def any_strict(self, groups: Sequence[int]) -> bool:
        return any(self.strict(group, clause) for group in groups for clause in range(len(self._groups[group].exact)))

    def refutes(self, group: int, clause: int) -> bool:
        """On the whole box; never once that was asked too often."""
        self._asked += 1
        if self._asked > _MOST_ASKED:
            return False
        bounds = self._root(group, clause)
        return bounds is not None and (self._refuted(bounds, group, clause) or self.refutes_split(group, clause, {}))

    def _by_signs(self, group: int, clause: int) -> bool:
        """By what is never negative however it is rounded."""
        if not self._fits(group):
            return False
        if group not in self._signs:
            self._signs[group] = output_signs(self._engine, self._groups[group].proof)
        rows = [row for row in self._groups[group].exact[clause] if row.offset > 0 or (row.strict and row.offset == 0)]
        return any(self._signs[group].least(row) for row in rows)

    def refutes_part(self, group: int, clause: int, lower: Array, upper: Array) -> bool:
        """On a box [n] within the group's own."""
        most = _MOST_BOXES if self.strict(group, clause) else _MOST_OTHERS
        if not self._fits(group) or not self._groups[group].exact[clause] or self._tried.get(group, 0) >= most:
            return False
        self._tried[group] = self._tried.get(group, 0) + 1
        whole = self._groups[group].exact_ends()
        low = [max(Fraction(own), end) for own, end in zip(lower.tolist(), whole[0], strict=True)]
        high = [min(Fraction(own), end) for own, end in zip(upper.tolist(), whole[1], strict=True)]
        if any(l > u for l, u in zip(low, high, strict=True)):
            return True  # of the float64 box alone, outside of the exact one
        bounds = self._bounds(low, high, _BOX_BUDGET)
        return bounds is not None and self._refuted(bounds, group, clause)

    def refutes_split(self, group: int, clause: int, signs: Mapping[str, list[int]]) -> bool:
        """Where splits gave ReLUs these signs (1, -1, or 0 for none), by the name of their input: over the triangles of
        the others."""
        program = None if self._rounds else self._program(group, clause, signs)
        return program is not None and proves(program, [row.strict for row in self._groups[group].exact[clause]])

    def kink(self, group: int, clause: int) -> Array | None:
        """Where the linear program of the whole box has its optimum [n], which may be the one point that is unsafe."""
        program = self._program(group, clause, {})
        found = None if program is None else solved(program)
        return None if found is None else found.point[: self._engine.inputs]

    def _program(self, group: int, clause: int, signs: Mapping[str, list[int]]) -> Program | None:
        bounds = self._root(group, clause)
        if bounds is None:
            return None
        try:
            return program_of(bounds, *self._rows(group, clause), signs)
        except BeyondExactError:
            return None

    def _root(self, group: int, clause: int) -> ExactBounds | None:
        """Of the whole box; None where that is too much, or the clause has no row to be refuted."""
        if not self._groups[group].exact[clause]:
            return None
        if group not in self._roots:
            ends = self._groups[group].exact_ends()
            self._roots[group] = self._bounds(*ends, _BUDGET) if self._fits(group) else None
        return self._roots[group]

    def _fits(self, group: int) -> bool:
        """Exact arithmetic is for small networks of exact constants, and for values that are numbers of their type."""
        if group not in self._usable:
            box = Box(*(end[None] for end in self._groups[group].proof))
            self._usable[group] = self._small and in_range(self._engine, box)
        return self._usable[group]

    def _bounds(self, lower: list[Fraction], upper: list[Fraction], budget: int) -> ExactBounds | None:
        try:
            return ExactBounds(self._linear, lower, upper, budget=budget)
        except BeyondExactError:
            return None

    def _refuted(self, bounds: ExactBounds, group: int, clause: int) -> bool:
        """By one row, or by the sum of all."""
        if self._rounds and self._by_signs(group, clause):
            return True
        strict = [row.strict for row in self._groups[group].exact[clause]]
        rows, offset = self._rows(group, clause)
        if len(strict) > 1:
            rows = Exact(np.concatenate([rows.numbers, rows.numbers.sum(0, keepdims=True)]), rows.unit)
            offset, strict = [*offset, sum(offset, Fraction(0))], [*strict, any(strict)]
        try:
            found = bounds.least(rows, offset)
        except BeyondExactError:
            return False
        ends = [(least, own) for least, own in zip(found, strict, strict=True) if least is not None]
        if self._rounds:
            touched = any(least == 0 and own for least, own in ends) and not any(least > 0 for least, _ in ends)
            if touched:
                self.touched.add(group)
            return touched
        return any(least > 0 or (least == 0 and own) for least, own in ends)

    def _rows(self, group: int, clause: int) -> tuple[Exact, list[Fraction]]:
        rows, count = self._groups[group].exact[clause], self._engine.outputs
        factors = [Fraction(0)] * (len(rows) * count)
        for place, row in enumerate(rows):
            for index, factor in row.terms:
                factors[place * count + index] = factor
        return of_fractions(factors, (len(rows), count)), [row.offset for row in rows]
