"""What rounding adds, in the arithmetic a runtime computes in and in the float64 of this checker.

    fl(sum of n products) = sum of x_i w_i (1 + d_i),  |d_i| <= gamma(n) = n u / (1 - n u)

for every order of summation, with or without fused multiply-add (Higham, Accuracy and Stability of Numerical
Algorithms, 2002, section 3.1).
"""

from dataclasses import dataclass

import numpy as np

UNIT = 2.0**-53
ROOM = 8  # roundings beside those of the sum: bias, factors that a runtime folds into weights
OWN = 32  # the same of this checker's own evaluation
OUTWARD = 1 + 1e-8  # errs of sums of errors, of up to 1e7 numbers
TINY = 1e-200  # all that underflows in this checker, times numbers up to 1e100
MOST_ENTRIES = 5_000_000  # of a tensor: OUTWARD covers sums of so many


@dataclass(frozen=True)
class Arithmetic:
    """unit: half the distance of 1 to the next number; smallest: nearer to 0 a runtime may put 0; largest: beyond, no
    number is one. unit and smallest are 0 where every operation is exact. spare: what a bound is to have left, in parts
    of its row's size, so that on another machine, whose sums round otherwise, it is found above 0 too."""

    unit: float
    smallest: float
    largest: float
    spare: float = 0.0


REAL = Arithmetic(0.0, 0.0, 1e100)
FLOAT32 = Arithmetic(2.0**-24, 2.0**-126, float(np.finfo(np.float32).max))
FLOAT64 = Arithmetic(2.0**-53, 2.0**-1022, 1e100)


def gamma(count: int, unit: float) -> float:
    """Infinite where so many roundings leave nothing."""
    return count * unit / (1 - count * unit) if count * unit < 0.5 else float("inf")


def own_gamma(count: int) -> float:
    """Of this checker's sums of up to `count` products, a few roundings more."""
    return gamma(2 * count + OWN, UNIT)


def charge(arithmetic: Arithmetic, size: np.ndarray, products: int, entries: int, flushed: np.ndarray) -> np.ndarray:
    """By how much outputs [B, n] of an affine step may be off, a runtime's and this checker's errors together.

    size: |W| m + |b| [B, n]; products: summed for an entry, 0 where nothing is rounded; entries: of the output;
    flushed [B or 1, n]: of an entry, the sum of the |W| (and of the m, where weights are that small): factors of what
    may be taken for 0.
    """
    share = own_gamma(products + entries)
    if not products or not arithmetic.unit:
        return size * share * OUTWARD + TINY
    share += gamma(products + ROOM, arithmetic.unit)
    below = 2 * arithmetic.smallest * (flushed + 2 * products + 2 * ROOM)
    return (size * share + below) * OUTWARD + TINY
