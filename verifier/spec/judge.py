"""Whether a point makes a clause unsafe, in exact numbers."""

from fractions import Fraction

import numpy as np

from .query import Clause, Row


def unsafe(clause: Clause, x: np.ndarray, y: np.ndarray) -> bool:
    """Whether x [inputs] float32 is fed for a point of the clause's box and y [outputs] fulfils every row, both exactly
    as given."""
    least, most = clause.fed
    if not ((least <= x).all() and (x <= most).all() and np.isfinite(y).all()):
        return False
    return all(_holds(row, x, y) for row in clause.rows)


def _holds(row: Row, x: np.ndarray, y: np.ndarray) -> bool:
    value = row.offset
    for terms, values in ((row.terms, y), (row.inputs, x)):
        value = value + sum((factor * Fraction(float(values[index])) for index, factor in terms), Fraction(0))
    return value < 0 or (value == 0 and not row.strict)
