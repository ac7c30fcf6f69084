"""Exact numbers: Python integers times one rational unit."""

from fractions import Fraction
from math import gcd, lcm
from typing import Any, NamedTuple

import numpy as np

MANTISSA = 53  # bits of float64
MOST_BITS = 1 << 13  # of a number, beyond which arithmetic takes too long


class BeyondExactError(Exception):
    """The numbers grow too long, or an operator has no exact rule here."""


class Exact(NamedTuple):
    """numbers · unit; numbers: Python integers in an object array of any shape."""

    numbers: np.ndarray
    unit: Fraction

    def fractions(self) -> list[Fraction]:
        return [number * self.unit for number in self.numbers.ravel().tolist()]

    def times(self, factor: int) -> "Exact":
        """The same numbers in a unit so many times smaller."""
        return self if factor == 1 else Exact(self.numbers * factor, self.unit / factor)


def of_floats(values: np.ndarray) -> Exact:
    """The float64 (or float32) numbers themselves."""
    integers, shifts, least = _odd(values)
    return Exact(objects(integers.astype(object) << shifts.astype(object)), _power(least))


def _odd(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Odd integers (or 0), shifts >= 0 and an exponent: integers · 2^(shifts + exponent), some of the shifts 0."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise BeyondExactError("a number is not finite")
    mantissas, exponents = np.frexp(values)
    integers = np.asarray(np.ldexp(mantissas, MANTISSA)).astype(np.int64)
    some = integers != 0
    zeros = np.where(some, np.frexp((integers & -integers).astype(np.float64))[1] - 1, 0)
    exponents = exponents - MANTISSA + zeros
    least = int(exponents[some].min()) if some.any() else 0
    return integers >> zeros, np.where(some, exponents - least, 0), least


def of_fractions(values: list[Fraction], shape: tuple[int, ...]) -> Exact:
    common = lcm(*(value.denominator for value in values)) if values else 1
    numbers = np.empty(len(values), object)
    numbers[:] = [value.numerator * (common // value.denominator) for value in values]
    return Exact(numbers.reshape(shape), Fraction(1, common))


def aligned(*values: Exact) -> list[Exact]:
    """The same values in one unit."""
    units = {value.unit for value in values}
    if len(units) == 1:
        return list(values)
    common = lcm(*(unit.denominator for unit in units))
    unit = Fraction(gcd(*(unit.numerator * (common // unit.denominator) for unit in units)), common)
    return [value.times(int(value.unit / unit)) for value in values]


def added(left: Exact, right: Exact, sign: int = 1) -> Exact:
    """The sum; shapes may broadcast."""
    a, b = aligned(left, right)
    return Exact(objects(a.numbers + sign * b.numbers), a.unit)


def bits(numbers: np.ndarray) -> int:
    """Of the longest."""
    return max(int(numbers.max()), -int(numbers.min())).bit_length() if numbers.size else 0


def reduced(value: Exact) -> Exact:
    """Without a factor that all numbers share. Raises `BeyondExactError` where they are too long nonetheless."""
    common = gcd(*value.numbers.ravel().tolist()) or 1
    numbers = value.numbers if common == 1 else objects(value.numbers // common)
    if bits(numbers) > MOST_BITS or value.unit.denominator.bit_length() > 2 * MOST_BITS:
        raise BeyondExactError("the numbers grow too long")
    return Exact(numbers, value.unit * common)


def reciprocal(value: Exact) -> Exact:
    """1 / v, entry by entry."""
    if (value.numbers == 0).any():
        raise BeyondExactError("a division by zero")
    return reduced(of_fractions([1 / each for each in value.fractions()], value.numbers.shape))


def digits(numbers: np.ndarray, width: int) -> np.ndarray:
    """[digits, *shape] float64, the lowest first, each with the sign of its number."""
    sizes: Any = abs(numbers)
    signs = np.where(numbers < 0, -1, 1).astype(np.int64)
    count, mask = max(1, -(-bits(numbers) // width)), (1 << width) - 1
    parts = [((sizes >> (width * place)) & mask).astype(np.int64) * signs for place in range(count)]
    return np.stack(parts).astype(np.float64)


def digits_of_floats(values: np.ndarray, width: int) -> tuple[np.ndarray, Fraction]:
    """The digits of `of_floats`, and its unit."""
    integers, shifts, least = _odd(values)
    signs, mask = np.sign(integers), (1 << width) - 1
    sizes: Any = abs(integers)
    lengths = shifts + np.frexp(sizes.astype(np.float64))[1]
    parts = []
    for place in range(max(1, -(-int(lengths.max(initial=0)) // width))):
        above = width * place - shifts  # the integer's lowest bit
        high, low = sizes >> np.clip(above, 0, MANTISSA), (sizes & mask) << np.clip(-above, 0, width)
        parts.append((np.where(above < 0, low, high) & mask) * signs)
    return np.stack(parts).astype(np.float64), _power(least)


def _power(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def objects(values: Any) -> np.ndarray:
    """An object array also where numpy gives back a bare integer."""
    if isinstance(values, np.ndarray):
        return values
    found = np.empty((), object)
    found[()] = int(values)
    return found
