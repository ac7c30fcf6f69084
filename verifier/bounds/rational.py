"""Exact numbers: Python integers times one rational unit, and the network's linear maps of them.

A map is the operator's own, run on digits: integers are cut into digits so short that float64 holds every sum of
products of two of them exactly, whatever the order of summation; of float64 torch computes plain sums of products.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..graph import Node
from ..ops import OPERATORS, Affine, Params
from ..ops.forms import Form

_MANTISSA = 53  # bits of float64
_LEAST_DIGIT = 8  # bits; shorter ones would be too many
_MOST_DIGITS = 1 << 9  # of a number
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
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise BeyondExactError("a number is not finite")
    mantissas, exponents = np.frexp(values)
    integers = np.ldexp(mantissas, _MANTISSA).astype(np.int64)
    some = integers != 0
    if not some.any():
        return Exact(integers.astype(object), Fraction(1))
    least = int(exponents[some].min())
    shifts = np.where(some, exponents - least, 0).astype(object)
    return _shortened(Exact(_objects(integers.astype(object) << shifts), _power(least - _MANTISSA)))


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
    return Exact(_objects(a.numbers + sign * b.numbers), a.unit)


def bits(numbers: np.ndarray) -> int:
    """Of the longest."""
    return max(int(numbers.max()), -int(numbers.min())).bit_length() if numbers.size else 0


def reduced(value: Exact) -> Exact:
    """Without a factor that all numbers share. Raises `BeyondExactError` where they are too long nonetheless."""
    common = gcd(*value.numbers.ravel().tolist()) or 1
    numbers = value.numbers if common == 1 else _objects(value.numbers // common)
    if bits(numbers) > MOST_BITS or value.unit.denominator.bit_length() > 2 * MOST_BITS:
        raise BeyondExactError("the numbers grow too long")
    return Exact(numbers, value.unit * common)


class Linear:
    """The affine operators of one set of weights, in exact numbers, without their offsets."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._known: dict[str, Exact] = {}

    def constant(self, name: str) -> Exact:
        if name not in self._known:
            self._known[name] = of_floats(self.params[name].double().numpy())
        return self._known[name]

    def forward(self, node: Node, value: Exact) -> Exact:
        """L v for a value [B, *v]."""
        operator, bare = _affine(node), _bare(node)
        return self._mapped(bare, value, lambda params, digits: operator.forward(bare, params, digits))

    def spread(self, node: Node, radius: Exact) -> Exact:
        """|L| r for a radius [B, *v] >= 0."""
        operator, bare = _affine(node), _bare(node)
        return self._mapped(bare, radius, lambda params, digits: operator.spread(bare, params, digits))

    def backward(self, node: Node, rows: Exact, shape: tuple[int, ...], out: tuple[int, ...]) -> Exact:
        """A L for rows [R, entries of *out] over the output: [R, entries of *shape]."""
        operator, bare = _affine(node), _bare(node)

        def call(params: Mapping[str, Tensor], digits: Tensor) -> Tensor:
            (form,) = operator.backward(bare, params, Form(digits[None, None]), (shape,), out)
            return form.coef[0, 0]

        return self._mapped(bare, rows, call)

    def offset(self, node: Node) -> Exact | None:
        """The bias [entries of its axis], or None."""
        return self.constant(node.params[1]) if len(node.params) == 2 else None

    def _mapped(self, node: Node, value: Exact, call: Callable[[Params, Tensor], Tensor]) -> Exact:
        weight = self.constant(node.params[0]) if node.params else None
        terms = max(value.numbers.size, 1 if weight is None else weight.numbers.size)  # more than any sum has
        width = (_MANTISSA - terms.bit_length()) // 2
        if width < _LEAST_DIGIT:
            raise BeyondExactError("a layer is too large")
        digits = _digits(value.numbers, width)
        if len(digits) > _MOST_DIGITS:
            raise BeyondExactError("the numbers grow too long")
        many, count = digits.shape[:2]
        parts: list[Any] = [None] if weight is None else list(_digits(weight.numbers, width))
        sums: list[Any] = [0] * (many + len(parts) - 1)  # by place: of far less than 2^10 numbers within 2^53
        for place, part in enumerate(parts):
            # A default rule is a derivative, for which parameters must be there to take the type from.
            params = {node.params[0]: part} if node.params else {"": digits}
            found = call(params, digits.flatten(0, 1)).unflatten(0, (many, count)).numpy()
            for own in range(many):
                sums[place + own] = sums[place + own] + found[own].astype(np.int64)
        total: Any = sums[-1].astype(object)
        for own in reversed(sums[:-1]):
            total = (total << width) + own
        unit = value.unit if weight is None else value.unit * weight.unit
        return Exact(_objects(total), unit)


def _affine(node: Node) -> Affine:
    operator = OPERATORS[node.op]
    if not isinstance(operator, Affine) or node.op not in _LINEAR:
        raise BeyondExactError(f"{node.op} has no exact rule")
    return operator


def _bare(node: Node) -> Node:
    return replace(node, params=node.params[:1])


_LINEAR = frozenset(
    {"Conv", "ConvTranspose", "Flatten", "Gather", "Gemm", "MatMul", "Pad", "ReduceSum", "Reshape", "Transpose"}
)  # those that are bilinear in their first parameter, if they have one, and their input


def _digits(numbers: np.ndarray, width: int) -> Tensor:
    """[digits, *shape] float64, the lowest first, each with the sign of its number."""
    sizes: Any = abs(numbers)
    signs = np.where(numbers < 0, -1, 1).astype(np.int64)
    count, mask = max(1, -(-bits(numbers) // width)), (1 << width) - 1
    parts = [((sizes >> (width * place)) & mask).astype(np.int64) * signs for place in range(count)]
    return torch.from_numpy(np.stack(parts).astype(np.float64))


def _shortened(value: Exact) -> Exact:
    """Without the zeros at the end of all numbers."""
    every = int(np.bitwise_or.reduce(value.numbers.ravel()))
    zeros = (every & -every).bit_length() - 1 if every else 0
    return Exact(_objects(value.numbers >> zeros), value.unit * (1 << zeros)) if zeros else value


def _power(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _objects(values: Any) -> np.ndarray:
    """An object array also where numpy gives back a bare integer."""
    if isinstance(values, np.ndarray):
        return values
    found = np.empty((), object)
    found[()] = int(values)
    return found
