"""Smooth activations: their operators, and the products and quotients that exporters write them as.

    elu_a(x)  = a elu(x) + (1 - a) relu(x)        celu_a(x) = a elu(x / a)           x sigmoid(k x) = silu(k x) / k
    x (1 + erf(k x)) = √2 / k gelu(√2 k x)        x / (1 + |x|) = softsign(x)        x tanh(softplus(x)) = mish(x)

The file's own factors count, exactly, as fractions; what multiplies the canonical curve is rounded once, to float64.
"""

from fractions import Fraction
from math import inf, isfinite, sqrt
from typing import NamedTuple

import numpy as np

from .activation import divided, rest_of, scaled
from .builder import Builder, refusal
from .proto import OnnxNode
from .rounding import ROUNDED
from .shapes import GELU_TANH


def elu(builder: Builder, node: OnnxNode) -> None:
    builder.bind(node, _elu(builder, node, node.number("alpha", 1)), builder.value(node.inputs[0]).dims)


def selu(builder: Builder, node: OnnxNode) -> None:
    curve = _elu(builder, node, node.number("alpha", 1.6732631921768188))
    gamma = node.number("gamma", 1.0507010221481323)
    builder.bind(node, scaled(builder, node, curve, gamma), builder.value(node.inputs[0]).dims)


def celu(builder: Builder, node: OnnxNode) -> None:
    value, alpha = builder.value(node.inputs[0]), node.number("alpha", 1)
    if not alpha >= np.finfo(builder.dtype).tiny:
        raise refusal(node, f"has {alpha:g} for its alpha; supported: above 0", "Check the export")
    curve = builder.emit(node, "Elu", [divided(builder, node, value.name, alpha)])
    builder.bind(node, scaled(builder, node, curve, alpha), value.dims)


def gelu(builder: Builder, node: OnnxNode) -> None:
    kinds = {"none": "Gelu", "tanh": "GeluTanh"}
    kind = node.attrs.get("approximate", "none")
    if kind not in kinds:
        raise refusal(node, f"is approximated by {kind!r}; supported: {', '.join(kinds)}", "Export it as one of these")
    _bent(builder, node, kinds[kind], node.inputs[0])


def swish(builder: Builder, node: OnnxNode) -> None:
    """x sigmoid(alpha x)."""
    alpha = node.number("alpha", 1)
    if not alpha or not isfinite(alpha):
        raise refusal(node, f"has {alpha:g} for its alpha; supported: a number other than 0", "Check the export")
    _bent(builder, node, "Silu", node.inputs[0], Fraction(alpha), 1 / Fraction(alpha))


def log(builder: Builder, node: OnnxNode) -> None:
    """Log(Sigmoid(x)) = -softplus(-x)."""
    inner = _linear(builder, node.inputs[0])
    origin = builder.origins.get(inner.name)
    if origin is None or origin.op != "Sigmoid" or (inner.offset, inner.factor) != (0, 1):
        raise refusal(node, "takes the logarithm of a computed value; supported: of a Sigmoid", "Export it without")
    _bent(builder, node, "Softplus", origin.inputs[0], Fraction(-1), Fraction(-1))


def product(builder: Builder, node: OnnxNode, a: str, b: str) -> bool:
    """Binds x · g(x) of two computed values where that is a curve; False where it is none."""
    for first, second in ((a, b), (b, a)):
        x, g = _linear(builder, first), _linear(builder, second)
        origin = builder.origins.get(g.name)
        if x.offset or origin is None or not g.factor or not x.factor:
            continue
        inner, outer = _linear(builder, origin.inputs[0]), x.factor * g.factor
        direct = inner.name == x.name and not inner.offset and bool(inner.factor)
        if origin.op == "Sigmoid" and direct and not g.offset:
            _bent(builder, node, "Silu", x.name, inner.factor, outer / inner.factor)
            return True
        if origin.op == "Erf" and direct and g.offset == g.factor:
            _bent(builder, node, "Gelu", x.name, inner.factor, outer / inner.factor, root=True)
            return True
        if origin.op == "Tanh" and not g.offset and _is_softplus(builder, inner, x.name):
            _bent(builder, node, "Mish", x.name, outer=outer)
            return True
        if origin.op == "Tanh" and g.offset == g.factor and _cubic(builder, origin.inputs[0], x.name) == _GELU_TANH:
            _bent(builder, node, "GeluTanh", x.name, outer=2 * outer)
            return True
    return False


def quotient(builder: Builder, node: OnnxNode, a: str, b: str) -> bool:
    """Binds x / (p + q |x|) of two computed values; False where it is none."""
    x, below = _linear(builder, a), _linear(builder, b)
    origin = builder.origins.get(below.name)
    if x.offset or not x.factor or origin is None or origin.op != "Abs":
        return False
    inner = _linear(builder, origin.inputs[0])
    slope = below.factor * abs(inner.factor)
    if inner.offset or inner.name != x.name or not slope * below.offset > 0:
        return False
    _bent(builder, node, "Softsign", x.name, slope / below.offset, x.factor / slope)
    return True


_STEPS = 8


class _Linear(NamedTuple):
    """A value of the file as offset + factor · another."""

    offset: Fraction
    factor: Fraction
    name: str


_GELU_TANH = tuple(map(Fraction, GELU_TANH))
_GELU_TANH = (_GELU_TANH[0], _GELU_TANH[0] * _GELU_TANH[1])


def _elu(builder: Builder, node: OnnxNode, alpha: float) -> str:
    value = builder.value(node.inputs[0])
    if alpha == 1:
        return builder.emit(node, "Elu", [value.name])
    above, rest, bent = builder.emit(node, "Relu", [value.name]), rest_of(alpha), value.name
    if rest is None:  # relu(x) + a elu(-relu(-x))
        below = builder.emit(node, "Relu", [scaled(builder, node, value.name, -1)])
        bent, rest = scaled(builder, node, below, -1), np.ones(())
    curve = scaled(builder, node, builder.emit(node, "Elu", [bent]), alpha)
    return builder.emit(node, "Add", [curve, scaled(builder, node, above, rest)])


def _bent(
    builder: Builder,
    node: OnnxNode,
    op: str,
    x: str,
    inner: Fraction = Fraction(1),
    outer: Fraction = Fraction(1),
    *,
    root: bool = False,
) -> None:
    """Binds outer · f(inner · x), both times √2 where `root` says so."""
    value, more = builder.value(x), sqrt(2) if root else 1.0
    try:
        factors = float(inner) * more, float(outer) * more
    except OverflowError:
        factors = inf, inf
    if not all(0 < abs(factor) < inf for factor in factors):
        raise refusal(node, f"is {op} with factors beyond float64", "Export a sound network")
    if root or any(Fraction(own) != given for own, given in zip(factors, (inner, outer), strict=True)):
        builder.rounds(4 * ROUNDED)
    curve = builder.emit(node, op, [scaled(builder, node, value.name, factors[0])])
    builder.bind(node, scaled(builder, node, curve, factors[1]), value.dims)


def _linear(builder: Builder, name: str) -> _Linear:
    """Back through sums, products and quotients with single constants, a few of them."""
    offset, factor = Fraction(0), Fraction(1)
    for _ in range(_STEPS):
        origin = builder.origins.get(name)
        if origin is None:
            break
        if origin.op in ("Identity", "Cast", "Neg"):
            factor, name = -factor if origin.op == "Neg" else factor, origin.inputs[0]
            continue
        constants = [builder.const(operand) for operand in origin.inputs]
        if origin.op not in ("Add", "Sub", "Mul", "Div") or all(array is None for array in constants):
            break
        right = constants[1] is not None
        number, inner = _single(constants[1 if right else 0]), origin.inputs[0 if right else 1]
        if (
            number is None
            or (origin.op == "Div" and not right)
            or builder.value(inner).dims != builder.value(name).dims
        ):
            break
        if origin.op in ("Add", "Sub"):
            offset += factor * (-number if origin.op == "Sub" and right else number)
            factor = -factor if origin.op == "Sub" and not right else factor
        else:
            factor = factor * number if origin.op == "Mul" else factor / number
        name = inner
    return _Linear(offset, factor, name)


def _single(array: np.ndarray | None) -> Fraction | None:
    return Fraction(float(array.item())) if array is not None and array.size == 1 and np.isfinite(array).all() else None


def _is_softplus(builder: Builder, value: _Linear, x: str) -> bool:
    origin = builder.origins.get(value.name)
    if origin is None or origin.op != "Softplus" or (value.offset, value.factor) != (0, 1):
        return False
    return _linear(builder, origin.inputs[0]) == (0, 1, x)


def _cubic(builder: Builder, name: str, x: str, steps: int = 3) -> tuple[Fraction, Fraction] | None:
    """p and q where a value is p x + q x³, written as a sum or as x (p + q x²)."""
    offset, factor, name = _linear(builder, name)
    if name == x:
        return None if offset else (factor, Fraction(0))
    origin = builder.origins.get(name)
    if offset or origin is None or origin.op not in ("Add", "Mul", "Pow") or not steps:
        return None
    if origin.op == "Add":
        parts = [_cubic(builder, operand, x, steps - 1) for operand in origin.inputs if builder.const(operand) is None]
        if len(parts) != 2 or parts[0] is None or parts[1] is None:
            return None
        return factor * (parts[0][0] + parts[1][0]), factor * (parts[0][1] + parts[1][1])
    if origin.op == "Pow":
        return (Fraction(0), factor) if _power(builder, origin, x) == 3 else None
    for first, second in (origin.inputs, origin.inputs[::-1]):
        outside, inside = _linear(builder, first), _linear(builder, second)
        if outside.name == x and not outside.offset and _is_square(builder, inside.name, x):
            return factor * outside.factor * inside.offset, factor * outside.factor * inside.factor
    return None


def _is_square(builder: Builder, name: str, x: str) -> bool:
    origin = builder.origins.get(name)
    if origin is None:
        return False
    return (origin.op == "Mul" and origin.inputs == (x, x)) or (origin.op == "Pow" and _power(builder, origin, x) == 2)


def _power(builder: Builder, origin: OnnxNode, x: str) -> Fraction | None:
    return _single(builder.const(origin.inputs[1])) if origin.inputs[0] == x else None
