"""In which arithmetic a proof holds."""

from enum import Enum
from typing import NamedTuple

import numpy as np

from .errors import InputError


class Arithmetic(str, Enum):
    """FLOAT32: the file as a runtime computes it, node by node in IEEE 754 numbers of the file's own type (float32, or
    float64 where the file has that), sums in any order, with or without fused multiply-add, what underflows flushed
    to zero or not (docs/soundness.md has what is assumed). REAL: in real numbers, with the weights of the file."""

    FLOAT32 = "float32"
    REAL = "real"


class Deployed(NamedTuple):
    """What a runtime's numbers round by. unit: of an operation's result, as a part of it; least: the smallest normal
    number, below which results may be flushed to zero; both 0 in real arithmetic."""

    unit: float
    least: float

    def summed(self, terms: int) -> float:
        """γ_n = n u / (1 - n u): of a sum of n products in any order, as a part of their sizes (Higham 2002, section
        3.1); infinite where float32 has too few digits for so many."""
        part = terms * self.unit
        return part / (1 - part) if part < 1 else float("inf")


def deployed(arithmetic: Arithmetic, dtype: np.dtype) -> Deployed:
    """Of a file whose values have this type."""
    if arithmetic is Arithmetic.REAL:
        return Deployed(0.0, 0.0)
    kind = np.finfo(dtype)
    return Deployed(float(kind.eps) / 2, float(kind.tiny))


def parse_arithmetic(text: str) -> Arithmetic:
    """Raises InputError for a name that is none."""
    try:
        return Arithmetic(text)
    except ValueError:
        names = ", ".join(each.value for each in Arithmetic)
        raise InputError(f"arithmetic {text!r} is not known; give one of {names}.") from None
