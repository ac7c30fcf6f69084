"""Linear terms over the variables of a network, in exact rationals.

A variable is a number: input i is i, output j is ~j = -1 - j.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from .text import Problem, unsupported
from .trees import Leaf, Tree, head, shown

# A word -> its variable, or None where it is none that was declared; raises `Problem` for an index out of range.
Lookup = Callable[[Leaf], int | None]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
_ZERO, _ONE, _MINUS = Fraction(0), Fraction(1), Fraction(-1)
_MAX_DIGITS, _MAX_EXPONENT = 1_000, 1_000
_MAX_BITS = 100_000  # of a computed constant
_EXPECTED = "a number, a variable or a term such as (+ Y_0 (* 2 Y_1))"


class Linear(NamedTuple):
    """Σ factor · variable + constant; no factor is 0."""

    factors: dict[int, Fraction]
    constant: Fraction


def number(leaf: Leaf) -> Fraction | None:
    """The exact value of a decimal, None where the word is none."""
    match = _NUMBER.fullmatch(leaf.text)
    if match is None:
        return None
    if len(leaf.text) > _MAX_DIGITS or (match[2] and abs(int(match[2][1:])) > _MAX_EXPONENT):
        raise unsupported(
            leaf.place,
            f"{shown(leaf.text)} is beyond the supported numbers, of {_MAX_DIGITS} digits and exponents from "
            f"-{_MAX_EXPONENT} to {_MAX_EXPONENT}.",
        )
    return Fraction(leaf.text)


def linear(term: Tree | Leaf, lookup: Lookup) -> Linear:
    """The value of a term. Raises `Problem` where it is not one, or not linear."""
    if isinstance(term, Leaf):
        value = number(term)
        if value is not None:
            return Linear({}, value)
        variable = lookup(term)
        if variable is None:
            raise Problem(term.place, f"expected {_EXPECTED}, found {shown(term.text)}; is it declared?")
        return Linear({variable: _ONE}, _ZERO)
    operator, operands = head(term, _EXPECTED)
    if operator not in ("+", "-", "*", "/"):
        raise Problem(term.place, f"expected {_EXPECTED}, found the operator {shown(operator)}.")
    if not operands:
        raise Problem(term.place, f"the operator {operator} has no operands.")
    first, *rest = (linear(operand, lookup) for operand in operands)
    result = scaled(first, _MINUS) if operator == "-" and not rest else first
    for operand in rest:
        if operator == "+":
            result = plus(result, operand)
        elif operator == "-":
            result = minus(result, operand)
        elif operator == "*" and not operand.factors:
            result = scaled(result, operand.constant)
        elif operator == "*" and not result.factors:
            result = scaled(operand, result.constant)
        elif operator == "/" and not operand.factors and operand.constant:
            result = scaled(result, 1 / operand.constant)
        else:
            problem = "divides by zero or a variable" if operator == "/" else "multiplies variables"
            raise unsupported(term.place, f"this term {problem}; supported: terms linear in the variables.")
        if max(map(_bits, (result.constant, *result.factors.values()))) > _MAX_BITS:
            raise unsupported(term.place, "this term computes a constant with too many digits. Write its value.")
    return result


def plus(left: Linear, right: Linear) -> Linear:
    factors = dict(left.factors)
    for variable, own in right.factors.items():
        factors[variable] = factors[variable] + own if variable in factors else own
        if not factors[variable]:
            del factors[variable]
    return Linear(factors, left.constant + right.constant if right.constant else left.constant)


def minus(left: Linear, right: Linear) -> Linear:
    return plus(scaled(right, _MINUS), left)


def scaled(term: Linear, factor: Fraction) -> Linear:
    if not factor:
        return Linear({}, _ZERO)
    if factor is _MINUS:  # by far the most frequent
        return Linear({variable: -own for variable, own in term.factors.items()}, -term.constant)
    return Linear({variable: factor * own for variable, own in term.factors.items()}, factor * term.constant)


def magnitude(value: Fraction) -> int:
    """e with 2^(e-1) < |value| < 2^(e+1); 0 for 0."""
    return value.numerator.bit_length() - value.denominator.bit_length() if value else 0


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()
