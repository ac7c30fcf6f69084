"""Clauses of a query from plain numbers."""

from fractions import Fraction

import numpy as np

from glscert.verifier.spec import Clause, Row


def clause(lower, upper, rows):
    """Ends and numbers exactly as the float64 values given."""
    ends = np.array(lower, np.float64), np.array(upper, np.float64)
    return Clause(*ends, ends, tuple(row(*each) for each in rows))


def row(factors, offset, strict=False):
    terms = tuple((index, Fraction(float(c))) for index, c in enumerate(factors) if c)
    return Row(terms, Fraction(float(offset)), strict)
