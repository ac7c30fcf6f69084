"""A query: is there an input for which the network does what it must not?

    unsafe  =  OR over the clauses of  (x in the clause's box  AND  every row of it:  c · y + a · x + d <= 0)

Inputs x and outputs y are flat and row-major. All comparisons count equality as unsafe, unless a row says `strict`.
The numbers are those of the text, exactly: ends of a box are kept as the float64 neighbours on both sides of them, so
that a proof over the outer box covers the exact one, and a float32 or float64 point inside the inner box is inside
the exact one. A decimal such as 0.1 is no float32 number: what a runtime is fed for it is the nearest, and a proof has
to cover that too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .interval import Interval


class Row(NamedTuple):
    """c · y + a · x + d <= 0 (`strict`: < 0); `terms` are (index into y, factor), each index once, no factor 0;
    `inputs` the same of x. A row without `terms` is a relation of inputs."""

    terms: tuple[tuple[int, Fraction], ...]
    offset: Fraction
    strict: bool = False
    inputs: tuple[tuple[int, Fraction], ...] = ()

    @property
    def is_relation(self) -> bool:
        return bool(self.inputs) and not self.terms


@dataclass(frozen=True)
class Clause:
    """A box of inputs, each end float64 [inputs], and the rows that must all hold for it to be unsafe (none: always).

    `inner` holds (lower, upper) rounded inwards; where one crosses the other, no float64 number lies inside. `exact`
    has the intervals of those inputs whose ends are no float64 numbers.
    """

    lower: np.ndarray
    upper: np.ndarray
    inner: tuple[np.ndarray, np.ndarray]
    rows: tuple[Row, ...]
    exact: Mapping[int, Interval] = field(default_factory=dict)

    @cached_property
    def fed(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest float32 number that each input is fed, [inputs] each: those inside the exact box,
        or of an input that has none, what its numbers round to. They cross where there is nothing to feed."""
        least, most = inward(*self.inner)
        for index, interval in self.between.items():
            least[index], most[index] = interval.fed()
        return least, most

    @cached_property
    def between(self) -> dict[int, Interval]:
        """The intervals that lie between two neighbouring float32 numbers, by input."""
        least, most = inward(*self.inner)
        found = {index: self._interval(index) for index in np.flatnonzero(least > most).tolist()}
        return {
            index: own for index, own in found.items() if own is not None and np.isfinite(own.fed()).all()
        }  # fmt: skip

    def _interval(self, index: int) -> Interval | None:
        """Numbers of the input's own, all where they are known; None where none is."""
        if index in self.exact:
            return self.exact[index]
        lower, upper = (float(end[index]) for end in self.inner)
        return Interval(Fraction(lower), Fraction(upper)) if -np.inf < lower <= upper < np.inf else None

    def nearest(self, x: np.ndarray) -> list[Fraction]:
        """The point of the exact box nearest to x [inputs], a point between the ends of `fed`."""
        point = [Fraction(float(value)) for value in x]
        for index, interval in self.between.items():
            point[index] = interval.nearest(point[index])
        return point

    @property
    def relations(self) -> tuple[Row, ...]:
        """Its relations of inputs."""
        return tuple(row for row in self.rows if row.is_relation)


@dataclass(frozen=True)
class Query:
    """`clauses` of a network with so many inputs and outputs; none: nothing is unsafe."""

    inputs: int
    outputs: int
    clauses: tuple[Clause, ...]

    @cached_property
    def nearest(self) -> tuple[int, ...]:
        """The inputs for which the nearest float32 number stands in some clause, since their interval holds none."""
        return tuple(sorted(set().union(*(clause.between for clause in self.clauses))))

    def named_inputs(self) -> set[int]:
        """Those that rows name, beside their bounds."""
        return {index for clause in self.clauses for row in clause.rows for index, _ in row.inputs}


def inward(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least float32 not below `lower` and the greatest not above `upper`; they cross where none lies between."""
    with np.errstate(over="ignore"):
        least, most = lower.astype(np.float32), upper.astype(np.float32)
        least = np.where(least < lower, np.nextafter(least, np.float32(np.inf)), least)
        most = np.where(most > upper, np.nextafter(most, np.float32(-np.inf)), most)
    return least, most
