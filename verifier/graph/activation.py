"""Activations with corners, Tanh and products: written with Relu, Sigmoid, Square and affine operators.

    max(x, c) = c + relu(x - c)            leaky(x) = a x + (1 - a) relu(x)          |x| = 2 relu(x) - x
    tanh(x) = 2 sigmoid(2 x) - 1           hard swish(x) = r (r + 3) / 6 + relu(x - 3) with r = clip(x, -3, 3)
    leaky(x) = relu(x) - a relu(-x), where float64 has no 1 - a

So whatever has corners is exact once each of its ReLUs has a sign.
"""

from collections.abc import Sequence

import numpy as np

from .builder import Builder, Value, broadcast, refusal, size
from .proto import OnnxNode
from .rounding import off_by_difference
from .spread import expanded

ORDINARY = 2**16  # a limit up to here loses no more than that many last places of a value beside it


def pointwise(builder: Builder, node: OnnxNode) -> None:
    """What is canonical already: Relu, Sigmoid, …"""
    value = builder.value(node.inputs[0])
    builder.bind(node, builder.emit(node, node.op, [value.name]), value.dims)


def leaky_relu(builder: Builder, node: OnnxNode) -> None:
    _leaky(builder, node, np.array(node.number("alpha", 0.01)))


def prelu(builder: Builder, node: OnnxNode) -> None:
    slope = builder.const(node.inputs[1])
    if slope is None:
        raise refusal(node, "takes its slope from a computed value; supported: a constant", "Export constant weights")
    _leaky(builder, node, slope)


def tanh(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    doubled = scaled(builder, node, value.name, 2)
    curve = builder.emit(node, "Sigmoid", [doubled])
    builder.bind(node, shifted(builder, node, scaled(builder, node, curve, 2), -1), value.dims)


def absolute(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    twice = scaled(builder, node, builder.emit(node, "Relu", [value.name]), 2)
    builder.bind(node, builder.emit(node, "Sub", [twice, value.name]), value.dims)


def clip(builder: Builder, node: OnnxNode) -> None:
    """Between min and max, either of which may be left out: attributes before opset 11, inputs since.

    Where min is above max all become max, as the standard has it.
    """
    value, name = builder.value(node.inputs[0]), builder.value(node.inputs[0]).name
    least = _end(builder, node, "min", 1)
    most = _end(builder, node, "max", 2)
    if least is not None:
        name = at_least(builder, node, name, least)
    if most is not None:
        name = at_most(builder, node, name, most)
    builder.bind(node, name, value.dims)


def hard_sigmoid(builder: Builder, node: OnnxNode) -> None:
    """max(0, min(1, alpha x + beta))."""
    value = builder.value(node.inputs[0])
    line = scaled(builder, node, value.name, node.number("alpha", 0.2))
    line = shifted(builder, node, line, node.number("beta", 0.5))
    builder.bind(node, at_most(builder, node, at_least(builder, node, line, 0), 1), value.dims)


def hard_swish(builder: Builder, node: OnnxNode) -> None:
    """r (r + 3) / 6 = ((r + 3/2)² - 9/4) / 6."""
    value = builder.value(node.inputs[0])
    middle = at_most(builder, node, at_least(builder, node, value.name, -3), 3)
    square = builder.emit(node, "Square", [shifted(builder, node, middle, 1.5)])
    bowl = divided(builder, node, shifted(builder, node, square, -2.25), 6)
    beyond = builder.emit(node, "Relu", [shifted(builder, node, value.name, -3)])
    builder.bind(node, builder.emit(node, "Add", [bowl, beyond]), value.dims)


def extremum(builder: Builder, node: OnnxNode) -> None:
    """Max and Min of computed values and constants."""
    smallest = node.op == "Min"
    names = [name for name in node.inputs if name]
    values = [builder.value(name) for name in names if builder.const(name) is None]
    arrays = [array for name in names if (array := builder.const(name)) is not None]
    dims = broadcast(node, *(value.dims for value in values), *(array.shape for array in arrays))
    spread = [expanded(builder, node, value, dims) for value in values]
    best = largest(builder, node, [scaled(builder, node, name, -1) for name in spread] if smallest else spread)
    if arrays:
        builder.room(size(dims), np.dtype(np.float64).itemsize)
        limit = np.broadcast_to(arrays[0], dims)
        for array in arrays[1:]:
            limit = np.minimum(limit, array) if smallest else np.maximum(limit, array)
        limit = np.asarray(limit, np.float64)
        best = at_least(builder, node, best, (-limit if smallest else limit).reshape(builder.shapes[best]))
    builder.bind(node, scaled(builder, node, best, -1) if smallest else best, dims)


def power(builder: Builder, node: OnnxNode) -> None:
    """Pow with a constant exponent 1, 2 or 3."""
    value, exponent = builder.value(node.inputs[0]), builder.const(node.inputs[1])
    if exponent is None or exponent.size != 1 or exponent.ravel()[0] not in (1, 2, 3):
        raise refusal(node, "raises to another power than 1, 2 or 3", "Write the network with these")
    name = value.name if exponent.ravel()[0] == 1 else builder.emit(node, "Square", [value.name])
    builder.bind(node, _times(builder, node, name, value.name) if exponent.ravel()[0] == 3 else name, value.dims)


def product(builder: Builder, node: OnnxNode, a: Value, b: Value) -> None:
    """Of two computed values."""
    dims = broadcast(node, a.dims, b.dims)
    if a.name == b.name:
        builder.bind(node, builder.emit(node, "Square", [a.name]), dims)
        return
    left, right = expanded(builder, node, a, dims), expanded(builder, node, b, dims)
    builder.bind(node, _times(builder, node, left, right), dims)


def _times(builder: Builder, node: OnnxNode, a: str, b: str) -> str:
    """a b = ((a + b)² - (a - b)²) / 4."""
    sum_, difference = builder.emit(node, "Add", [a, b]), builder.emit(node, "Sub", [a, b])
    squares = [builder.emit(node, "Square", [name]) for name in (sum_, difference)]
    return scaled(builder, node, builder.emit(node, "Sub", squares), 0.25)


def largest(builder: Builder, node: OnnxNode, names: Sequence[str]) -> str:
    """The maximum of computed values of one shape: a tree of max(a, b) = b + relu(a - b)."""
    names = list(names)
    while len(names) > 1:
        pairs = [
            builder.emit(node, "Add", [b, builder.emit(node, "Relu", [builder.emit(node, "Sub", [a, b])])])
            for a, b in zip(names[::2], names[1::2], strict=False)
        ]
        names = pairs + names[2 * len(pairs) :]
    return names[0]


def at_least(builder: Builder, node: OnnxNode, name: str, limit: float | np.ndarray) -> str:
    """max(x, limit) = limit + relu(x - limit), or x + relu(limit - x) for a limit that would swallow x."""
    limit = np.asarray(limit)
    if (np.abs(limit) <= ORDINARY).all():
        return shifted(builder, node, builder.emit(node, "Relu", [shifted(builder, node, name, -limit)]), limit)
    below = builder.emit(node, "Relu", [shifted(builder, node, scaled(builder, node, name, -1), limit)])
    return builder.emit(node, "Add", [name, below])


def at_most(builder: Builder, node: OnnxNode, name: str, limit: float | np.ndarray) -> str:
    """min(x, limit) = limit - relu(limit - x), or x - relu(x - limit) for a limit that would swallow x."""
    limit = np.asarray(limit)
    if (np.abs(limit) <= ORDINARY).all():
        room = builder.emit(node, "Relu", [shifted(builder, node, scaled(builder, node, name, -1), limit)])
        return shifted(builder, node, scaled(builder, node, room, -1), limit)
    above = builder.emit(node, "Relu", [shifted(builder, node, name, -limit)])
    return builder.emit(node, "Sub", [name, above])


def scaled(builder: Builder, node: OnnxNode, name: str, factor: float | np.ndarray) -> str:
    return _with(builder, node, "Mul", name, factor, 1)


def divided(builder: Builder, node: OnnxNode, name: str, divisor: float | np.ndarray) -> str:
    """By a number whose reciprocal would be rounded."""
    return _with(builder, node, "Div", name, divisor, 1)


def shifted(builder: Builder, node: OnnxNode, name: str, amount: float | np.ndarray) -> str:
    return _with(builder, node, "Add", name, amount, 0)


_HINTS = {"Mul": "factor", "Div": "divisor", "Add": "shift"}


def _with(builder: Builder, node: OnnxNode, op: str, name: str, constant: float | np.ndarray, neutral: float) -> str:
    array = np.asarray(constant, np.float64)
    if (array == neutral).all():
        return name
    return builder.emit(node, op, [name], [builder.param(node, f"{node.outputs[0]}.{_HINTS[op]}", array)])


def rest_of(slope: np.ndarray | float) -> np.ndarray | None:
    """1 - slope; None where float64 rounds it."""
    return 1 - np.asarray(slope, np.float64) if off_by_difference(np.asarray(slope), 0.0) == 0 else None


def _leaky(builder: Builder, node: OnnxNode, slope: np.ndarray) -> None:
    value = builder.value(node.inputs[0])
    dims = broadcast(node, value.dims, slope.shape)
    if size(dims) != size(value.dims):
        raise refusal(node, f"has slopes {list(slope.shape)} for {list(value.dims)}", "Export the network again")
    # with every axis spelled out, in the value's canonical shape
    builder.room(size(dims) if slope.size > 1 else 1, np.dtype(np.float64).itemsize)
    slope = slope if slope.size == 1 else np.broadcast_to(slope, dims).reshape(builder.shapes[value.name])
    slope = (slope.reshape(()) if slope.size == 1 else slope).astype(np.float64)
    off = builder.off(node.inputs[1]) if len(node.inputs) > 1 else 0.0
    builder.rounds(off_by_difference(slope, off) if off else 0.0)
    above = builder.emit(node, "Relu", [value.name])
    rest = rest_of(slope)
    if rest is not None:
        line, bend = scaled(builder, node, value.name, slope), scaled(builder, node, above, rest)
    else:  # relu(x) - a relu(-x)
        below = builder.emit(node, "Relu", [scaled(builder, node, value.name, -1)])
        line, bend = scaled(builder, node, below, -slope), above
    builder.bind(node, builder.emit(node, "Add", [line, bend]), value.dims)


def _end(builder: Builder, node: OnnxNode, key: str, place: int) -> float | None:
    if len(node.inputs) > place and node.inputs[place]:
        array = builder.const(node.inputs[place])
        if array is None or array.size != 1:
            raise refusal(node, f"takes its {key} from a computed value or a vector", "Export it with constant limits")
        end = float(array.ravel()[0])
    else:
        end = float(node.attrs.get(key, -np.inf if key == "min" else np.inf))
    outwards, most = (-end if key == "min" else end), np.finfo(builder.dtype).max
    if not outwards > -most:  # NaN too
        raise refusal(node, f"has {end:g} for its {key}", "Export a sound network")
    return end if outwards < most else None
