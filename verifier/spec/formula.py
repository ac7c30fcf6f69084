"""Formulas over bounds of single inputs and linear rows of outputs and inputs."""

from fractions import Fraction
from typing import NamedTuple

from .query import Row
from .terms import Linear, Lookup, linear, magnitude, minus
from .text import Problem, unsupported
from .trees import Leaf, Tree, head, shown

_MOST = 400  # binary exponents far inside float64's range, also of quotients
_COMPARISONS = ("<=", ">=", "<", ">", "=", "==", "!=")
_EXPECTED = "a comparison such as (<= X_0 0.5), (and ...) or (or ...)"


class Bound(NamedTuple):
    """x_input <= value, or >= where it is no upper bound; `strict`: never equal."""

    input: int
    upper: bool
    value: Fraction
    strict: bool


class And(NamedTuple):
    """All hold; without parts: true."""

    parts: "tuple[Formula, ...]"


class Or(NamedTuple):
    """One holds; without parts: false."""

    parts: "tuple[Formula, ...]"


Formula = Bound | Row | And | Or


def asserted(place: int, operands: "list[Tree | Leaf]", lookup: Lookup) -> "Formula":
    """The formula of an `(assert ...)` that stands at `place`."""
    if len(operands) != 1:
        raise Problem(place, f"an assertion holds one formula, this one holds {len(operands)}.")
    return formula(operands[0], lookup)


def formula(tree: Tree | Leaf, lookup: Lookup) -> "Formula":
    """Raises `Problem` where `tree` is none."""
    operator, operands = head(tree, _EXPECTED)
    if operator in ("and", "or"):
        if not operands:
            raise Problem(tree.place, f"{operator} joins nothing.")
        parts = tuple(formula(operand, lookup) for operand in operands)
        return And(parts) if operator == "and" else Or(parts)
    if operator not in _COMPARISONS:
        known = ", ".join(("and", "or", *_COMPARISONS))
        raise unsupported(tree.place, f"the operator {shown(operator)} is not supported here; supported: {known}.")
    if len(operands) != 2:
        raise Problem(tree.place, f"{operator} compares two terms, here it has {len(operands)}.")
    left, right = (linear(operand, lookup) for operand in operands)
    if operator in ("<=", "<"):
        return _atom(minus(left, right), operator == "<", tree.place)
    if operator in (">=", ">"):
        return _atom(minus(right, left), operator == ">", tree.place)
    strict = operator == "!="
    both = (_atom(minus(left, right), strict, tree.place), _atom(minus(right, left), strict, tree.place))
    return Or(both) if strict else And(both)


def _atom(term: Linear, strict: bool, place: int) -> Formula:
    """term <= 0, or < 0."""
    if not term.factors:
        holds = term.constant < 0 if strict else term.constant <= 0
        return And(()) if holds else Or(())
    if (
        max(map(magnitude, (term.constant, *term.factors.values()))) > _MOST
        or min(map(magnitude, term.factors.values())) < -_MOST
    ):
        raise unsupported(place, f"a number in this comparison is beyond 2^{_MOST}, or a factor below 2^-{_MOST}.")
    inputs = sorted((variable, factor) for variable, factor in term.factors.items() if variable >= 0)
    if len(inputs) != 1 or len(term.factors) > 1:
        outputs = sorted((~variable, factor) for variable, factor in term.factors.items() if variable < 0)
        return Row(tuple(outputs), term.constant, strict, tuple(inputs))
    ((input, factor),) = inputs
    value = -term.constant if factor == 1 else term.constant if factor == -1 else -term.constant / factor
    return Bound(input, factor > 0, value, strict)
