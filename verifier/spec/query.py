"""A query: is there an input for which the network does what it must not?

    unsafe  =  OR over the clauses of  (x in the clause's box  AND  every row of it:  c · y + a · x + d <= 0)

Inputs x and outputs y are flat and row-major. All comparisons count equality as unsafe, unless a row says `strict`.
The numbers are those of the text, exactly: ends of a box are kept as the float64 neighbours on both sides of them, so
that a proof over the outer box covers the exact one, and a float32 or float64 point inside the inner box is inside
the exact one.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np


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

    `inner` holds (lower, upper) rounded inwards; where one crosses the other, no float64 number lies inside.
    """

    lower: np.ndarray
    upper: np.ndarray
    inner: tuple[np.ndarray, np.ndarray]
    rows: tuple[Row, ...]

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
