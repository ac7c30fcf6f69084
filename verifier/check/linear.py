"""Affine operators, lowered to steps: products, sums, factors, convolutions, averages."""

import math

import numpy as np

from .builder import Builder, Node, Value, Variable, constant, numbers, variable
from .moves import Inputs, axes_of, places
from .rounding import MOST_ENTRIES
from .steps import Array, Conv, Part
from .windows import layout


def matmul(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only()
    left, right = inputs
    if isinstance(left, Variable):
        weights = numbers(node, builder, right, "the second factor")
        if weights.ndim != 2 or not left.shape or left.shape[-1] != len(weights):
            raise node.refuse(f"{list(left.shape)} times {list(weights.shape)}; a matrix on the right is covered.")
        return [builder.dense(left, weights, None, (*left.shape[:-1], weights.shape[1]))]
    value, weights = variable(node, right), numbers(node, builder, left, "the first factor")
    if weights.ndim != 2 or len(value.shape) < 1 or value.shape[max(-2, -len(value.shape))] != weights.shape[1]:
        raise node.refuse(f"{list(weights.shape)} times {list(value.shape)}; a matrix on the left is covered.")
    if len(value.shape) == 1:
        return [builder.dense(value, weights.T, None, (len(weights),))]
    turned = builder.moved(value, places(value).swapaxes(-1, -2))
    found = builder.dense(turned, weights.T, None, (*turned.shape[:-1], len(weights)))
    return [builder.moved(found, places(found).swapaxes(-1, -2))]


def gemm(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("alpha", "beta", "transA", "transB")
    value = variable(node, inputs[0])
    weights = numbers(node, builder, inputs[1], "B")
    if len(value.shape) != 2 or weights.ndim != 2:
        raise node.refuse("matrices are covered.")
    if node.get("transA", 0):
        value = builder.moved(value, places(value).T)
    weights = weights.T if node.get("transB", 0) else weights
    if value.shape[1] != len(weights):
        raise node.refuse(f"{list(value.shape)} times {list(weights.shape)}.")
    shape = (value.shape[0], weights.shape[1])
    alpha, beta = (float(node.get(name, 1.0)) for name in ("alpha", "beta"))
    if not all(scalar == 0 or abs(scalar) >= np.finfo(builder.floating).tiny for scalar in (alpha, beta)):
        raise node.refuse(f"alpha {alpha:g} and beta {beta:g}; 0 and normal numbers are covered.")
    bias = None
    if len(inputs) > 2 and inputs[2] is not None:
        bias = beta * numbers(node, builder, inputs[2], "C")
        _fits(node, bias, shape)
    if alpha == 1:
        return [builder.dense(value, weights, bias, shape)]
    found = _scaled(node, builder, builder.dense(value, weights, None, shape), np.full(1, alpha), shape)
    if bias is None:
        return [found]
    flat = np.broadcast_to(bias, shape).reshape(-1)
    return [builder.entrywise([found], [_spread(found, shape, None)], shape, flat, products=2)]


def _fits(node: Node, array: Array, shape: tuple[int, ...]) -> None:
    try:
        if np.broadcast_shapes(array.shape, shape) == shape:
            return
    except ValueError:
        pass
    raise node.refuse(f"{list(array.shape)} does not fit {list(shape)}.")


def conv(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    value, weights = variable(node, inputs[0]), numbers(node, builder, inputs[1], "W")
    groups, rank = node.get("group", 1), weights.ndim - 2
    if rank < 1 or len(value.shape) != rank + 2 or value.shape[0] != 1 or groups < 1:
        raise node.refuse(f"a kernel {list(weights.shape)} over {list(value.shape)}.")
    outputs, kernel = len(weights), weights.shape[2:]
    if value.shape[1] != groups * weights.shape[1] or outputs % groups:
        raise node.refuse(f"{groups} groups of a kernel {list(weights.shape)} over {list(value.shape)}.")
    if tuple(node.get("kernel_shape", kernel)) != kernel:
        raise node.refuse("kernel_shape is not that of W.")
    found = layout(node, value.shape[2:], kernel)
    bias = None
    if len(inputs) > 2 and inputs[2] is not None:
        own = numbers(node, builder, inputs[2], "B")
        if own.shape != (outputs,):
            raise node.refuse(f"a bias {list(own.shape)} of {outputs} channels.")
        bias = np.repeat(own, math.prod(found.spatial))
    flat = weights.reshape(groups, outputs // groups, -1)
    if groups * flat.shape[2] * math.prod(found.spatial) > 16 * MOST_ENTRIES:
        raise node.refuse("its windows have too many entries.")
    output = builder.tensor(outputs * math.prod(found.spatial), flat.shape[2])
    step = Conv(
        (value.number,), output, flat, value.shape[1:], found.spatial, found.kernel, found.strides, found.dilations,
        found.before, bias, None if bias is None else np.abs(bias),
    )  # fmt: skip
    return [builder.conv(step, (1, outputs, *found.spatial))]


def add(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    return _sum(node, builder, inputs, [1.0] * len(inputs))


def subtract(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    return _sum(node, builder, inputs, [1.0, -1.0])


def _sum(node: Node, builder: Builder, inputs: Inputs, signs: list[float]) -> list[Value]:
    node.only()
    if all(isinstance(value, np.ndarray) for value in inputs):
        return [_whole_numbers(node, [constant(node, value, "it") for value in inputs])]
    shape = _together(node, inputs)
    values, parts, bias, bias_size = [], [], np.zeros(shape), np.zeros(shape)
    for value, sign in zip(inputs, signs, strict=True):
        if isinstance(value, Variable):
            values.append(value)
            parts.append(_spread(value, shape, None if sign == 1 else np.full(math.prod(shape), sign)))
        else:
            own = sign * numbers(node, builder, value, "a summand")
            bias, bias_size = bias + own, bias_size + np.abs(own)
    return [builder.entrywise(values, parts, shape, bias.reshape(-1), bias_size.reshape(-1), len(inputs))]


def multiply(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only()
    if all(isinstance(value, np.ndarray) for value in inputs):
        return [_whole_numbers(node, [constant(node, value, "it") for value in inputs])]
    shape = _together(node, inputs)
    left, right = inputs
    value, factor = (left, right) if isinstance(left, Variable) else (right, left)
    return [_scaled(node, builder, variable(node, value), numbers(node, builder, factor, "a factor"), shape)]


def divide(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only()
    if all(isinstance(value, np.ndarray) for value in inputs):
        return [_whole_numbers(node, [constant(node, value, "it") for value in inputs])]
    shape = _together(node, inputs)
    divisor = numbers(node, builder, inputs[1], "the divisor")
    if (np.abs(divisor) < 1e-30).any():
        raise node.refuse("a divisor is 0, or nearly so.")
    return [_scaled(node, builder, variable(node, inputs[0]), 1 / divisor, shape)]


def negate(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only()
    value = variable(node, inputs[0])
    return [builder.entrywise([value], [_spread(value, value.shape, np.full(value.size, -1.0))], value.shape)]


def _scaled(node: Node, builder: Builder, value: Variable, factor: Array, shape: tuple[int, ...]) -> Variable:
    each = np.broadcast_to(factor, shape).reshape(-1)
    return builder.entrywise([value], [_spread(value, shape, each)], shape, products=2)


def _spread(value: Variable, shape: tuple[int, ...], factor: Array | None) -> Part:
    """The value broadcast to a shape."""
    source = np.broadcast_to(places(value), shape).reshape(-1)
    plain = source.size == value.size and bool((source == np.arange(value.size)).all())
    return Part(value.size, None, None if plain else source, factor)


def _together(node: Node, inputs: Inputs) -> tuple[int, ...]:
    try:
        shape = np.broadcast_shapes(*(value.shape for value in inputs if value is not None))
    except ValueError as error:
        raise node.refuse(str(error)[:200]) from None
    return tuple(int(size) for size in shape)


def _whole_numbers(node: Node, arrays: list[Array]) -> Array:
    """Of constants that are whole numbers, as shapes are: exactly."""
    if len(arrays) != 2 or not all(np.issubdtype(array.dtype, np.integer) for array in arrays):
        raise node.refuse("it computes with constants that are no whole numbers; export the model with them folded.")
    left, right = (array.astype(object) for array in arrays)
    with np.errstate(all="ignore"):
        if node.op == "Div" and (arrays[1] == 0).any():
            raise node.refuse("a division by 0.")
        found = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.floor_divide}[node.op](left, right)
    if any(abs(int(part)) >= 2**62 or (node.op == "Div" and part < 0) for part in np.ravel(found)):
        raise node.refuse("a whole number that is too large, or a negative quotient.")
    return np.asarray(found).astype(np.int64)


def batch_normalization(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("epsilon", "momentum", "spatial", "training_mode")
    if node.get("training_mode", 0) or node.get("spatial", 1) != 1:
        raise node.refuse("training_mode and spatial=0 are not covered.")
    value = variable(node, inputs[0])
    if len(value.shape) < 2 or len(inputs) != 5:
        raise node.refuse("five inputs, the first with channels, are covered.")
    scale, shift, mean, variance = (numbers(node, builder, part, "a statistic") for part in inputs[1:5])
    channels = (value.shape[1],)
    epsilon = float(node.get("epsilon", 1e-5))
    if any(part.shape != channels for part in (scale, shift, mean, variance)) or (variance + epsilon < 1e-12).any():
        raise node.refuse("a statistic has another shape, or a variance below 0.")
    if ((scale != 0) & (np.abs(scale) < np.finfo(builder.floating).tiny)).any():
        raise node.refuse("a factor that a runtime may flush to 0.")
    factor = scale / np.sqrt(variance + epsilon)
    bias, size = shift - factor * mean, np.abs(shift) + np.abs(factor * mean)
    every = [_by_channel(part, value.shape) for part in (factor, bias, size)]
    part = _spread(value, value.shape, every[0])
    return [builder.entrywise([value], [part], value.shape, every[1], every[2], products=4)]


def _by_channel(numbers: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(numbers.reshape(-1, *[1] * (len(shape) - 2)), shape).reshape(-1)


def reduce_sum(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("axes", "keepdims", "noop_with_empty_axes")
    return [_reduced(node, builder, inputs)[0]]


def reduce_mean(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("axes", "keepdims", "noop_with_empty_axes")
    found, count = _reduced(node, builder, inputs)
    return [_scaled(node, builder, found, np.full(1, 1 / count), found.shape)]


def _reduced(node: Node, builder: Builder, inputs: Inputs) -> tuple[Variable, int]:
    value, axes = variable(node, inputs[0]), axes_of(node, inputs)
    rank = len(value.shape)
    if axes is None or not axes or any(not -rank <= axis < rank for axis in axes):
        raise node.refuse("it is covered where it states its axes.")
    gone = sorted({axis % rank for axis in axes})
    kept = [axis for axis in range(rank) if axis not in gone]
    count = math.prod(value.shape[axis] for axis in gone)
    turned = builder.moved(value, places(value).transpose(*kept, *gone).reshape(-1, count))
    shape = [1 if axis in gone else size for axis, size in enumerate(value.shape)]
    if not node.get("keepdims", 1):
        shape = [value.shape[axis] for axis in kept]
    return builder.dense(turned, np.ones((count, 1)), None, tuple(shape)), count
