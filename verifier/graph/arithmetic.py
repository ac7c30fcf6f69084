"""Add, Sub, Mul, Div of a computed value with a constant; Add, Sub and Mul of two computed values; Neg."""

from dataclasses import replace

import numpy as np

from . import curves
from .activation import product
from .builder import Builder, Value, broadcast, refusal
from .proto import OnnxNode
from .spread import expanded


def add(builder: Builder, node: OnnxNode) -> None:
    a, b = node.inputs
    if builder.const(a) is not None:
        a, b = b, a
    if builder.const(b) is not None:
        with_constant(builder, node, builder.value(a), b)
    else:
        _two_values(builder, node)


def sub(builder: Builder, node: OnnxNode) -> None:
    """x - c, x - z, and c - x as (-1) x + c."""
    a, b = node.inputs
    if builder.const(b) is not None:
        with_constant(builder, node, builder.value(a), b)
    elif builder.const(a) is not None:
        minus = Value(negative(builder, node, b), builder.value(b).dims)
        with_constant(builder, replace(node, op="Add"), minus, a)
    else:
        _two_values(builder, node)


def mul(builder: Builder, node: OnnxNode) -> None:
    a, b = node.inputs
    if builder.const(a) is not None:
        a, b = b, a
    if builder.const(b) is None:
        if not curves.product(builder, node, a, b):
            product(builder, node, builder.value(a), builder.value(b))
    else:
        with_constant(builder, node, builder.value(a), b)


def div(builder: Builder, node: OnnxNode) -> None:
    a, b = node.inputs
    divisor = builder.const(b)
    if divisor is None:
        if builder.const(a) is None and curves.quotient(builder, node, a, b):
            return
        raise refusal(
            node, "divides by a computed value; supported: by a constant", "Write the network without the quotient"
        )
    if not divisor.all():
        raise refusal(node, "divides by a constant with a zero in it", "Export a network whose divisors are not 0")
    if (abs(divisor) < np.finfo(builder.dtype).tiny).any():
        raise refusal(node, "divides by what may be flushed to 0", "Export a network whose divisors are normal numbers")
    with_constant(builder, node, builder.value(a), b)


def neg(builder: Builder, node: OnnxNode) -> None:
    builder.bind(node, negative(builder, node, node.inputs[0]), builder.value(node.inputs[0]).dims)


def negative(builder: Builder, node: OnnxNode, x: str) -> str:
    """-x."""
    minus = builder.param(node, "minus_one", np.array(-1, builder.dtype))
    return builder.emit(node, "Mul", [builder.value(x).name], [minus])


def with_constant(builder: Builder, node: OnnxNode, value: Value, c: str) -> None:
    """x (op) c, where c broadcasts against x; the constant loses the batch axis."""
    constant = builder.consts[c]
    dims = broadcast(node, value.dims, constant.shape)
    if builder.dynamic and (len(dims) != len(value.dims) or dims[0] != 1):
        raise refusal(
            node,
            f"extends a computed value {list(value.dims)} to {list(dims)} to fit its constant",
            "Give the constant a shape that broadcasts to the value's, such as [1,C,1,1]",
        )
    shape = builder.without_batch(dims)
    source = builder.reshape(node, expanded(builder, node, value, dims), shape)
    aligned = constant.reshape(constant.shape[max(0, constant.ndim - len(shape)) :])
    name = builder.param(node, c, aligned)
    builder.bind(node, builder.emit(node, node.op, [source], [name]), dims)


def _two_values(builder: Builder, node: OnnxNode) -> None:
    a, b = (builder.value(name) for name in node.inputs)
    dims = broadcast(node, a.dims, b.dims)
    operands = [expanded(builder, node, value, dims) for value in (a, b)]
    builder.bind(node, builder.emit(node, node.op, operands), dims)
