"""A linear program's proof in fractions: multipliers from float64, made to fulfil their equations exactly.

Over lower <= x <= upper every row G x + g of a clause is to be <= 0 and every sign s (A x + a) >= 0. With multipliers
w, b >= 0, the first not all 0,

    w (G x + g) - b s (A x + a)  >=  its least value on the box

and where that is > 0, or 0 and some row of weight is strict, no x fulfils all. At the optimum of the program the factor
of x_i is 0 wherever x_i lies inside of its interval: equations that determine the multipliers which are not 0.
"""

from fractions import Fraction
from typing import NamedTuple

from torch import Tensor

_SUPPORT = 1e-9  # of the largest multiplier
_INSIDE = 1e-7  # of an input's interval, away from its ends
_MOST = 60  # equations


class Leaf(NamedTuple):
    """rows, signs: factors [n] and constant of each, signs turned so that they are to be >= 0. strict: of each row."""

    rows: list[tuple[list[Fraction], Fraction]]
    signs: list[tuple[list[Fraction], Fraction]]
    lower: list[Fraction]
    upper: list[Fraction]
    strict: list[bool]


def proves(leaf: Leaf, multipliers: list[float], point: Tensor | None) -> bool:
    """multipliers: of rows and then of signs, each about what it is to be; point [*v]: the program's optimum."""
    forms = [*leaf.rows, *(([-own for own in factors], -constant) for factors, constant in leaf.signs)]
    most = max(multipliers, default=0.0)
    support = [place for place, value in enumerate(multipliers) if value > _SUPPORT * most]
    if point is None or not support:
        return False
    free = [
        i
        for i, (x, l, u) in enumerate(zip(point.flatten().tolist(), leaf.lower, leaf.upper, strict=True))
        if l < u and float(l) + _INSIDE * float(u - l) < x < float(u) - _INSIDE * float(u - l)
    ]
    if len(free) + 1 > _MOST or len(support) > 2 * _MOST:
        return False
    equations = [[forms[place][0][i] for place in support] + [Fraction(0)] for i in free]
    rows = [Fraction(int(place < len(leaf.rows))) for place in support]
    equations.append([*rows, Fraction(1)])  # the weights of rows add up to 1
    found = _solved(equations, [Fraction(multipliers[place]) for place in support])
    if found is None or min(found) < 0:
        return False
    chosen = dict(zip(support, found, strict=True))
    total = sum((value * forms[place][1] for place, value in chosen.items()), Fraction(0))
    for i, (l, u) in enumerate(zip(leaf.lower, leaf.upper, strict=True)):
        factor = sum((value * forms[place][0][i] for place, value in chosen.items()), Fraction(0))
        total += factor * (l if factor > 0 else u)
    some = any(strict and chosen.get(place, 0) > 0 for place, strict in enumerate(leaf.strict))
    return total > 0 or (total == 0 and some)


def _solved(equations: list[list[Fraction]], guess: list[Fraction]) -> list[Fraction] | None:
    """A solution of equations [m][k + 1], the right side last; unknowns that they leave open are as guessed. None where
    there is no solution."""
    rows, pivots = [list(row) for row in equations], list[int]()
    for column in range(len(guess)):
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
