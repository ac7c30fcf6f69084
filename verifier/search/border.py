"""Clauses whose bound is the border itself: `unsat` of a strict comparison where the bound is exactly 0, say.

In float64 such a bound lies within its own rounding, whatever is split. Here it is taken in exact arithmetic, with the
numbers of the text: on the whole box, on boxes that input splitting makes, and where splits gave every ReLU its sign,
from multipliers that a linear program found and that fulfil its equations exactly once they are solved in fractions.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..bounds.errors import in_range
from ..bounds.exact_bounds import ExactBounds
from ..bounds.exact_triangles import program as program_of
from ..bounds.rational import BeyondExactError, Exact, Linear, of_fractions
from ..graph import Graph
from ..ops import Box, Params
from .clauses import Group
from .cost import multiplications
from .exact_program import proves, solved

_BUDGET, _BOX_BUDGET = 100_000, 20_000  # entries, of a whole box and of a part
_MOST_BOXES, _MOST_OTHERS = 2000, 16  # parts of one group's box, for strict comparisons and for others
_MOST_ASKED = 64  # clauses on whole boxes
_MOST = 1 << 22  # multiplications of a network


class Border:
    """For the clauses of these groups, by number."""

    def __init__(self, graph: Graph, params: Params, groups: Sequence[Group]) -> None:
        self._graph, self._params, self._groups = graph, params, groups
        self._linear = Linear(params)
        self._small = not graph.rounding and multiplications(graph, params) <= _MOST
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
        for clause in known.alive.nonzero().flatten().tolist():
            if self.strict(group, clause) and self.refutes(group, clause):
                known.alive[clause] = False

    def any_strict(self, groups: Sequence[int]) -> bool:
        return any(self.strict(group, clause) for group in groups for clause in range(len(self._groups[group].exact)))

    def refutes(self, group: int, clause: int) -> bool:
        """On the whole box; never once that was asked too often."""
        self._asked += 1
        if self._asked > _MOST_ASKED:
            return False
        bounds = self._root(group)
        return bounds is not None and (self._refuted(bounds, group, clause) or self.refutes_split(group, clause, {}))

    def refutes_part(self, group: int, clause: int, lower: Tensor, upper: Tensor) -> bool:
        """On a box [n] within the group's own."""
        most = _MOST_BOXES if self.strict(group, clause) else _MOST_OTHERS
        if not self._fits(group) or self._tried.get(group, 0) >= most:
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
        bounds = self._root(group)
        if bounds is None:
            return False
        strict = [row.strict for row in self._groups[group].exact[clause]]
        try:
            program = program_of(bounds, *self._rows(group, clause), signs)
        except BeyondExactError:
            return False
        return program is not None and proves(program, strict)

    def kink(self, group: int, clause: int) -> Tensor | None:
        """Where the linear program of the whole box has its optimum [n], which may be the one point that is unsafe."""
        bounds = self._root(group)
        if bounds is None:
            return None
        try:
            program = program_of(bounds, *self._rows(group, clause), {})
        except BeyondExactError:
            return None
        found = solved(program) if program is not None and program.rows else None
        return None if found is None else torch.from_numpy(found.point[: prod(self._graph.input_shape)])

    def _root(self, group: int) -> ExactBounds | None:
        if group not in self._roots:
            ends = self._groups[group].exact_ends()
            self._roots[group] = self._bounds(*ends, _BUDGET) if self._fits(group) else None
        return self._roots[group]

    def _fits(self, group: int) -> bool:
        """Exact arithmetic is for small networks of exact constants, and for values that are numbers of their type."""
        if group not in self._usable:
            shape = (1, *self._graph.input_shape)
            box = Box(*(end.reshape(shape) for end in self._groups[group].proof))
            self._usable[group] = self._small and in_range(self._graph, self._params, box)
        return self._usable[group]

    def _bounds(self, lower: list[Fraction], upper: list[Fraction], budget: int) -> ExactBounds | None:
        try:
            return ExactBounds(self._graph, self._params, lower, upper, budget=budget, linear=self._linear)
        except BeyondExactError:
            return None

    def _refuted(self, bounds: ExactBounds, group: int, clause: int) -> bool:
        """By one row, or by the sum of all."""
        strict = [row.strict for row in self._groups[group].exact[clause]]
        if not strict:
            return False
        rows, offset = self._rows(group, clause)
        if len(strict) > 1:
            rows = Exact(np.concatenate([rows.numbers, rows.numbers.sum(0, keepdims=True)]), rows.unit)
            offset, strict = [*offset, sum(offset, Fraction(0))], [*strict, any(strict)]
        try:
            found = bounds.least(rows, offset)
        except BeyondExactError:
            return False
        return any(
            least is not None and (least > 0 or (least == 0 and own)) for least, own in zip(found, strict, strict=True)
        )

    def _rows(self, group: int, clause: int) -> tuple[Exact, list[Fraction]]:
        rows, count = self._groups[group].exact[clause], self._graph.output_shape[0]
        factors = [Fraction(0)] * (len(rows) * count)
        for place, row in enumerate(rows):
            for index, factor in row.terms:
                factors[place * count + index] = factor
        return of_fractions(factors, (len(rows), count)), [row.offset for row in rows]
