"""A linear program's proof in fractions: multipliers from float64, made to fulfil their equations exactly.

For a program's variables v between their ends, rows r and forms h that are >= 0 of all that counts: with multipliers
w, m >= 0, the w adding up to 1,

    w · r(v)  >=  w · r(v) - m · h(v)  >=  the least value of the right side between the ends

and where that is > 0, or 0 and some row of weight is strict, the rows are not all <= 0. At the optimum of the program
the factor of a variable is 0 unless it lies at an end: equations that determine the multipliers.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import inf
from typing import NamedTuple

import numpy as np

from .. import deadline
from ..highs import least
from .triangles import AffineForm, Program

_SUPPORT = 1e-9  # of the largest multiplier
_FLAT = 1e-9  # of what it sums, a factor that is to be 0
_MOST = 60  # equations
_MOST_ENTRIES = 1 << 16  # of the program's matrix
_NEAR = 1e-6  # a value below which, negative, the program proves nothing, of its numbers' size
_SECONDS = 1.0


class Optimum(NamedTuple):
    """As the solver has it in float64: the least value of the largest row, the variables there, the multipliers of rows
    and forms, and those of them that the proof rests on; the variables whose factors are to be 0."""

    value: float
    point: np.ndarray
    multipliers: dict[int, Fraction]
    free: list[int]
    size: float  # of the rows' numbers


def solved(program: Program) -> Optimum | None:
    """None where the program is large, has no optimum, or numbers beyond float64."""
    forms = [*program.rows, *program.held]
    if len(forms) * len(program.lower) > _MOST_ENTRIES:
        return None
    try:
        numbers = np.array([[*map(float, factors), float(constant)] for factors, constant in forms])
        low = np.array([-inf if end is None else float(end) for end in program.lower])
        high = np.array([inf if end is None else float(end) for end in program.upper])
    except OverflowError:
        return None
    rows, held = numbers[: len(program.rows)], numbers[len(program.rows) :]
    found = least([(rows, -1.0), (-held, 0.0)], low, high, -inf, _SECONDS)
    if found.status != 0:
        return None
    values = -found.ineqlin.marginals
    signed = np.concatenate([rows, -held])[:, :-1] * values[:, None]
    flat = (low < high) & (np.abs(signed.sum(0)) <= _FLAT * np.abs(signed).sum(0))
    support = np.flatnonzero(values > _SUPPORT * values.max()).tolist()
    multipliers = {place: Fraction(float(values[place])) for place in support}
    return Optimum(found.fun, found.x[:-1], multipliers, np.flatnonzero(flat).tolist(), float(np.abs(rows).max()))


def proves(program: Program, strict: list[bool]) -> bool:
    """strict: of each row. Refuted that all rows are <= 0, or < 0 where strict."""
    found = solved(program)
    if found is None or found.value < -_NEAR * (1 + found.size):
        return False
    if not found.multipliers or len(found.free) + 1 > _MOST or len(found.multipliers) > 2 * _MOST:
        return False
    return _holds(program, strict, found.multipliers, found.free)


def _holds(program: Program, strict: list[bool], guess: Mapping[int, Fraction], free: list[int]) -> bool:
    """Whether multipliers near the guess, by the place of their row or form, for which the factors of the variables
    `free` are 0, prove it."""
    count = len(program.rows)
    forms = {place: program.rows[place] if place < count else _opposite(program.held[place - count]) for place in guess}
    equations = [[*(forms[place][0][i] for place in guess), Fraction(0)] for i in free]
    equations.append([*(Fraction(int(place < count)) for place in guess), Fraction(1)])
    solved = _solved(equations, list(guess.values()))
    if solved is None or min(solved) < 0:
        return False
    chosen = dict(zip(guess, solved, strict=True))
    total = sum((value * forms[place][1] for place, value in chosen.items()), Fraction(0))
    for i, ends in enumerate(zip(program.lower, program.upper, strict=True)):
        factor = sum((value * forms[place][0][i] for place, value in chosen.items()), Fraction(0))
        end = ends[0] if factor > 0 else ends[1]
        if factor and end is None:
            return False
        total += factor * (end or 0)
    some = any(own and chosen.get(place, 0) > 0 for place, own in enumerate(strict))
    return total > 0 or (total == 0 and some)


def _opposite(form: AffineForm) -> AffineForm:
    return [-own for own in form[0]], -form[1]


def _solved(equations: list[list[Fraction]], guess: list[Fraction]) -> list[Fraction] | None:
    """A solution of equations [m][k + 1], the right side last; unknowns that they leave open are as guessed. None where
    there is no solution."""
    rows, pivots = [list(row) for row in equations], list[int]()
    for column in range(len(guess)):
        deadline.check()
        place = next((r for r in range(len(pivots), len(rows)) if rows[r][column]), None)
        if place is None:
            continue
        here = len(pivots)
        rows[here], rows[place] = rows[place], rows[here]
        pivot = rows[here][column]
        rows[here] = [value / pivot for value in rows[here]]
        for r, row in enumerate(rows):
            if r != here and row[column]:
                factor = row[column]
                rows[r] = [value - factor * own for value, own in zip(row, rows[here], strict=True)]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    found = list(guess)
    for row, column in zip(rows, pivots, strict=False):
        found[column] = row[-1] - sum(
            (row[k] * guess[k] for k in range(len(guess)) if k != column and row[k]), Fraction(0)
        )
    return found
