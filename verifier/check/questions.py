"""What a certificate's answers are about, as plain values: regions, each with clauses of rows.

    to prove, of every clause: at every point of the region some row of it is > 0

Labelled inputs are asked whether the label's score stays above all others within eps. A property's clauses come with
their boxes. Numbers are exact, or rounded with their error charged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from .refusal import NotCovered
from .steps import Array

_MOST = Fraction(10) ** 100
Terms = tuple[tuple[int, Fraction], ...]


class Row(NamedTuple):
    """outputs . y + inputs . x + offset; to be > 0, or >= 0 where what must not happen is `strict`."""

    outputs: Terms
    offset: Fraction = Fraction(0)
    inputs: Terms = ()
    strict: bool = False

    def value(self, x: Sequence[float], y: Sequence[float]) -> Fraction:
        """At a point, exactly."""
        found = self.offset
        for terms, values in ((self.outputs, y), (self.inputs, x)):
            for index, factor in terms:
                found += factor * Fraction(float(values[index]))
        return found

    def scaled(self) -> "Row":
        """By its largest factor, which becomes 1 or -1."""
        most = max((abs(factor) for _, factor in (*self.outputs, *self.inputs)), default=Fraction(1)) or Fraction(1)
        return self.times(1 / most)

    def times(self, share: Fraction) -> "Row":
        outputs, inputs = (tuple((i, f * share) for i, f in terms) for terms in (self.outputs, self.inputs))
        return Row(outputs, self.offset * share, inputs, self.strict)


def _float(number: Fraction) -> float:
    """The nearest. Raises NotCovered where it is beyond what the checker computes with."""
    if abs(number) > _MOST:
        raise NotCovered("a number of a property is larger than 1e100.")
    return float(number)


class Matrix(NamedTuple):
    """R rows in float64, each number the nearest: outputs [R, K], inputs [R, n] or None, offset [R]; clause [R]: which
    each may close."""

    outputs: Array
    inputs: Array | None
    offset: Array
    clause: Array


def weighted(rows: Sequence[Row], weights: Sequence[Fraction]) -> Row:
    """Their weighted sum, exactly."""
    outputs: dict[int, Fraction] = {}
    inputs: dict[int, Fraction] = {}
    offset = Fraction(0)
    for row, weight in zip(rows, weights, strict=True):
        offset += weight * row.offset
        for found, terms in ((outputs, row.outputs), (inputs, row.inputs)):
            for index, factor in terms:
                found[index] = found.get(index, Fraction(0)) + weight * factor
    return Row(tuple(sorted(outputs.items())), offset, tuple(sorted(inputs.items())))


@dataclass(frozen=True, eq=False)
class Clauses:
    """rows: of each clause, scaled so that the largest factor of each is 1."""

    rows: tuple[tuple[Row, ...], ...]
    inputs: int
    outputs: int

    @cached_property
    def candidates(self) -> Matrix:
        """What the default leaf tries: every row alone, and of several the sum."""
        found = [(row, number) for number, rows in enumerate(self.rows) for row in rows]
        found += [
            (weighted(rows, [Fraction(1)] * len(rows)), number)
            for number, rows in enumerate(self.rows)
            if len(rows) > 1
        ]  # fmt: skip
        return self.matrix([row for row, _ in found], [number for _, number in found])

    def weighed(self, clauses: Iterable[int], weights: Sequence[int]) -> Matrix:
        """One row for each of these clauses: its rows by their shares. Raises ValueError where the counts differ."""
        numbers = list(clauses)
        if any(len(self.rows[number]) != len(weights) for number in numbers):
            raise ValueError(f"{len(weights)} weights for clauses of another number of rows.")
        shares = [Fraction(weight, sum(weights)) for weight in weights]
        return self.matrix([weighted(self.rows[number], shares) for number in numbers], numbers)

    def matrix(self, rows: Sequence[Row], clause: Sequence[int]) -> Matrix:
        outputs, offset = np.zeros((len(rows), self.outputs)), np.array([_float(row.offset) for row in rows])
        inputs = np.zeros((len(rows), self.inputs)) if any(row.inputs for row in rows) else None
        for place, row in enumerate(rows):
            for index, factor in row.outputs:
                outputs[place, index] += _float(factor)
            for index, factor in row.inputs:
                if inputs is not None:
                    inputs[place, index] += _float(factor)
        return Matrix(outputs, inputs, offset.reshape(-1), np.array(clause, np.int64))


@dataclass(frozen=True, eq=False)
class Asked:
    """A region [n]: lower, upper cover it, and what a runtime is fed of it, from `least` to `most`, with `middle` a
    point there. original: the clauses' rows as they were stated."""

    lower: Array
    upper: Array
    least: Array
    most: Array
    middle: Array
    clauses: Clauses
    original: tuple[tuple[Row, ...], ...]


@dataclass(frozen=True, eq=False)
class Question:
    """groups: all clauses of all of them are to be proved. labelled: `middle` is the input itself."""

    groups: tuple[Asked, ...]
    labelled: bool


class Ball(NamedTuple):
    """eps, low, high: one number, or one per entry [n]."""

    eps: Array
    low: Array
    high: Array


def labelled(
    x: Array,
    labels: Sequence[int],
    ball: Ball,
    clauses: Sequence[Clauses] | Mapping[int, Clauses],
    floating: np.dtype,
) -> list[Question]:
    """Of inputs x [N, ...] as they are given; clauses: of each label.

    eps counts as any number that rounds to it, and with every input the nearest number that a runtime can be fed
    belongs to its region.
    """
    centre = x.reshape(len(x), math.prod(x.shape[1:])).astype(np.float64)
    outer = np.where(ball.eps == 0, 0.0, np.nextafter(ball.eps, np.inf))
    nearest = x.reshape(len(x), math.prod(x.shape[1:])).astype(floating)
    least, most = _fed(centre, nearest, ball, floating)
    lower = np.maximum(np.nextafter(centre - outer, -np.inf), ball.low)
    upper = np.minimum(np.nextafter(centre + outer, np.inf), ball.high)
    lower, upper = np.minimum(lower, least), np.maximum(upper, most)
    middle = np.clip(nearest, least, most)
    return [
        Question((Asked(l, u, a, b, m, clauses[label], clauses[label].rows),), True)
        for l, u, a, b, m, label in zip(lower, upper, least, most, middle, labels, strict=True)
    ]


def _fed(centre: Array, nearest: Array, ball: Ball, floating: np.dtype) -> tuple[Array, Array]:
    """The least and the greatest number [N, n] that a runtime is fed: those inside the ball of any number that rounds
    to eps, else what is nearest to the input."""
    inner = np.nextafter(ball.eps, 0.0)
    least = np.maximum(np.nextafter(centre - inner, np.inf), ball.low)
    most = np.minimum(np.nextafter(centre + inner, -np.inf), ball.high)
    if floating == np.float32:
        least, most = _inward(least, most)
    none = least > most
    least, most = np.where(none, nearest, least), np.where(none, nearest, most)
    same = nearest == centre
    least, most = np.where(same, np.minimum(least, nearest), least), np.where(same, np.maximum(most, nearest), most)
    return least.astype(floating), most.astype(floating)


def _inward(lower: Array, upper: Array) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):
        least, most = lower.astype(np.float32), upper.astype(np.float32)
    least = np.where(least < lower, np.nextafter(least, np.float32(np.inf)), least)
    most = np.where(most > upper, np.nextafter(most, np.float32(-np.inf)), most)
    return least, most


class StatedRow(Protocol):
    """c . y + a . x + d <= 0 (strict: < 0), `terms` and `inputs` by index."""

    @property
    def terms(self) -> Terms: ...
    @property
    def inputs(self) -> Terms: ...
    @property
    def offset(self) -> Fraction: ...
    @property
    def strict(self) -> bool: ...


class StatedClause(Protocol):
    """A box, the float32 numbers fed of it, and rows that must not all hold there."""

    @property
    def lower(self) -> Array: ...
    @property
    def upper(self) -> Array: ...
    @property
    def fed(self) -> tuple[Array, Array]: ...
    @property
    def rows(self) -> Sequence[StatedRow]: ...


def stated(clauses: Iterable[StatedClause], inputs: int, outputs: int) -> Question:
    """Of a property's clauses: by their boxes, in the order of their first appearance. An empty box asks nothing."""
    together: dict[bytes, list[StatedClause]] = {}
    for clause in clauses:
        least, most = clause.fed
        lower, upper = np.minimum(clause.lower, least), np.maximum(clause.upper, most)
        if (clause.lower <= clause.upper).all():
            together.setdefault(lower.tobytes() + upper.tobytes(), []).append(clause)
    return Question(tuple(_asked(own, inputs, outputs) for own in together.values()), False)


def _asked(clauses: list[StatedClause], inputs: int, outputs: int) -> Asked:
    least, most = clauses[0].fed
    apart = least <= most  # else no number of the runtime's type is fed
    lower = np.where(apart, np.minimum(clauses[0].lower, least), clauses[0].lower).astype(np.float64)
    upper = np.where(apart, np.maximum(clauses[0].upper, most), clauses[0].upper).astype(np.float64)
    rows = tuple(tuple(Row(r.terms, r.offset, r.inputs, r.strict) for r in clause.rows) for clause in clauses)
    scaled = Clauses(tuple(tuple(row.scaled() for row in own) for own in rows), inputs, outputs)
    middle = np.clip((lower / 2 + upper / 2).astype(least.dtype), least, np.maximum(least, most))
    return Asked(lower, upper, least, most, middle, scaled, rows)
