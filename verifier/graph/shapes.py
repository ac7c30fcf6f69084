"""Shape of every value, from the canonical operators alone; a mismatch is refused with the node that causes it."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from ..errors import UnsupportedError
from .ir import Node

Shape = tuple[int, ...]

# A single value beyond this many numbers could not be bounded in any sensible memory.
MAX_ELEMENTS = 2**27
MOST_AXES = 32  # of a value; arrays that hold several of one need a few more, and none has more than 64


def value_shape(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    """Shape *v of `node.output`, batch left out. Raises `UnsupportedError` where the operands do not fit."""
    rule = _RULES.get(node.op)
    if rule is None:
        raise UnsupportedError(f"operator {node.op} (node {node.name!r}) is not one of {', '.join(_RULES)}.")
    shape = rule(node, inputs, params)
    if min(shape, default=1) < 1 or prod(shape) > MAX_ELEMENTS:
        raise _mismatch(
            node,
            f"would give a value of shape {list(shape)}; at least 1 number along each axis and "
            f"{MAX_ELEMENTS} in all are supported",
        )
    if len(shape) > MOST_AXES:
        raise _mismatch(node, f"would give a value of {len(shape)} axes; at most {MOST_AXES} are supported")
    return shape


def infer_shapes(
    input: str, input_shape: Shape, nodes: Sequence[Node], params: Mapping[str, np.ndarray]
) -> dict[str, Shape]:
    """Value name -> *v for the input and every node's output. `params` needs `.shape` only.

    Raises `UnsupportedError` for a value read before it is computed, a missing parameter or operands that do not fit.
    """
    shapes = {input: tuple(input_shape)}
    for node in nodes:
        for name in node.inputs:
            if name not in shapes:
                raise _mismatch(node, f"reads {name!r}, which nothing before it computes; put nodes in order")
        for name in node.params:
            if name not in params:
                raise _mismatch(node, f"needs the parameter {name!r}, which is missing")
        if node.output in shapes:
            raise _mismatch(node, f"computes {node.output!r} a second time; give every value its own name")
        shapes[node.output] = value_shape(
            node, [shapes[name] for name in node.inputs], [tuple(params[name].shape) for name in node.params]
        )
    return shapes


def _conv(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    (x,) = _arity(node, inputs, 1)
    weight, bias = _weights(node, params)
    if len(x) != 3 or len(weight) != 4:
        raise _mismatch(node, f"convolves {list(x)} with a kernel {list(weight)}; supported: [C,H,W] with [O,C/g,h,w]")
    attrs = node.attrs
    group = attrs["group"]
    if group < 1 or weight[1] * group != x[0] or weight[0] % group:
        raise _mismatch(node, f"has kernel {list(weight)} and group {group}, which do not fit {x[0]} channels")
    if bias is not None and bias != (weight[0],):
        raise _mismatch(node, f"has a bias {list(bias)} for {weight[0]} channels")
    strides, pads, dilations = attrs["strides"], attrs["pads"], attrs["dilations"]
    if (len(strides), len(pads), len(dilations)) != (2, 4, 2) or not _steps(*strides, *dilations) or min(pads) < 0:
        raise _mismatch(
            node,
            f"has strides {list(strides)}, pads {list(pads)}, dilations {list(dilations)}; "
            f"supported: two strides and dilations from 1 to {MAX_ELEMENTS}, four pads of at least 0",
        )
    size = [
        (x[1 + i] + pads[i] + pads[2 + i] - dilations[i] * (weight[2 + i] - 1) - 1) // strides[i] + 1 for i in (0, 1)
    ]
    if min(size) < 1:
        raise _mismatch(node, f"has a kernel {list(weight[2:])} larger than its padded input {list(x)}")
    return (weight[0], *size)


def _conv_transpose(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    (x,) = _arity(node, inputs, 1)
    weight, bias = _weights(node, params)
    attrs = node.attrs
    group, strides, pads, dilations = attrs["group"], attrs["strides"], attrs["pads"], attrs["dilations"]
    if len(x) != 3 or len(weight) != 4 or group < 1 or weight[0] != x[0] or weight[0] % group:
        raise _mismatch(node, f"takes {list(x)} through a kernel {list(weight)} in {group} groups; they do not fit")
    channels = weight[1] * group
    if bias is not None and bias != (channels,):
        raise _mismatch(node, f"has a bias {list(bias)} for {channels} channels")
    if (len(strides), len(pads), len(dilations)) != (2, 4, 2) or not _steps(*strides, *dilations) or min(pads) < 0:
        raise _mismatch(node, f"has strides {list(strides)}, pads {list(pads)}, dilations {list(dilations)}")
    most = [max(pair) for pair in zip(strides, dilations, strict=True)]
    if len(attrs["extra"]) != 2 or any(not 0 <= n < limit for n, limit in zip(attrs["extra"], most, strict=True)):
        raise _mismatch(node, f"adds {list(attrs['extra'])} rows and columns; supported: fewer than a stride")
    size = [
        (x[1 + i] - 1) * strides[i] + dilations[i] * (weight[2 + i] - 1) + 1 + attrs["extra"][i] - pads[i] - pads[2 + i]
        for i in (0, 1)
    ]
    return (channels, *size)


def _gemm(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    (x,) = _arity(node, inputs, 1)
    weight, bias = _weights(node, params)
    if len(weight) != 2 or x != (weight[1],):
        raise _mismatch(node, f"multiplies a value {list(x)} by a matrix {list(weight)} ([out, in]); flatten it first")
    if bias is not None and bias != (weight[0],):
        raise _mismatch(node, f"has a bias {list(bias)} for {weight[0]} outputs")
    return (weight[0],)


def _matmul(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    (x,) = _arity(node, inputs, 1)
    (weight,) = _arity(node, params, 1)
    if len(weight) != 2 or x[-1:] != weight[1:]:
        raise _mismatch(node, f"multiplies a value {list(x)} by a matrix {list(weight)} ([out, in])")
    return (*x[:-1], weight[0])


def _unary(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    _arity(node, params, 0)
    return _arity(node, inputs, 1)[0]


def _transpose(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    x, perm = _unary(node, inputs, params), node.attrs["perm"]
    if sorted(perm) != list(range(len(x))):
        raise _mismatch(node, f"puts the axes of {list(x)} into the order {list(perm)}")
    return tuple(x[axis] for axis in perm)


def _gather(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    x, axis, indices = _unary(node, inputs, params), node.attrs["axis"], node.attrs["indices"]
    if not 0 <= axis < len(x) or (indices and not 0 <= min(indices) <= max(indices) < x[axis]):
        raise _mismatch(node, f"takes entries along axis {axis} that {list(x)} does not have")
    return (*x[:axis], len(indices), *x[axis + 1 :])


def _pad(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    x, pads = _unary(node, inputs, params), node.attrs["pads"]
    if len(pads) != 2 * len(x) or min(pads, default=0) < 0:
        raise _mismatch(node, f"pads {list(x)} by {list(pads)}")
    return tuple(n + before + after for n, before, after in zip(x, pads[: len(x)], pads[len(x) :], strict=True))


def _reduce_sum(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    x, axes = _unary(node, inputs, params), node.attrs["axes"]
    if not axes or list(axes) != sorted(set(axes)) or not 0 <= axes[0] <= axes[-1] < len(x):
        raise _mismatch(node, f"sums {list(x)} over the axes {list(axes)}")
    return tuple(n for axis, n in enumerate(x) if axis not in axes)


def _arithmetic(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    if len(inputs) == 2 and not params:
        if node.op not in ("Add", "Sub"):
            raise _mismatch(
                node, f"{node.op} of two computed values; supported: Add and Sub of two, {node.op} by a constant"
            )
        if inputs[0] != inputs[1]:
            raise _mismatch(node, f"combines values {list(inputs[0])} and {list(inputs[1])}; they must be equal")
        return inputs[0]
    (x,), (c,) = _arity(node, inputs, 1), _arity(node, params, 1)
    if len(c) > len(x) or any(n not in (1, m) for n, m in zip(reversed(c), reversed(x), strict=False)):
        raise _mismatch(node, f"has a constant {list(c)} that does not broadcast against a value {list(x)}")
    return x


def _flatten(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    _arity(node, params, 0)
    return (prod(_arity(node, inputs, 1)[0]),)


def _reshape(node: Node, inputs: Sequence[Shape], params: Sequence[Shape]) -> Shape:
    _arity(node, params, 0)
    (x,) = _arity(node, inputs, 1)
    shape = tuple(node.attrs["shape"])
    if prod(shape) != prod(x):
        raise _mismatch(node, f"reshapes a value {list(x)} to {list(shape)}, which holds another number of entries")
    return shape


NONLINEAR = ("Elu", "Erf", "Gelu", "GeluTanh", "Mish", "Relu", "Sigmoid", "Silu", "Softplus", "Softsign", "Square")
# z (1 + tanh(k (z + c z³))) / 2: k = sqrt(2/pi) and c = 0.044715, as float32 and so files have them.
GELU_TANH = (0.7978845834732056, 0.044714998453855515)

_RULES: dict[str, Callable[[Node, Sequence[Shape], Sequence[Shape]], Shape]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    **{name: _unary for name in NONLINEAR},
    "Transpose": _transpose,
    "Gather": _gather,
    "Pad": _pad,
    "ReduceSum": _reduce_sum,
    "Add": _arithmetic,
    "Sub": _arithmetic,
    "Mul": _arithmetic,
    "Div": _arithmetic,
    "Flatten": _flatten,
    "Reshape": _reshape,
}


def _steps(*steps: int) -> bool:
    return 1 <= min(steps) and max(steps) <= MAX_ELEMENTS  # far from where 32 bits would wrap round


def _weights(node: Node, params: Sequence[Shape]) -> tuple[Shape, Shape | None]:
    if len(params) not in (1, 2):
        raise _mismatch(node, f"has {len(params)} parameters; supported: a weight, or a weight and a bias")
    return params[0], params[1] if len(params) == 2 else None


def _arity(node: Node, shapes: Sequence[Shape], count: int) -> Sequence[Shape]:
    if len(shapes) != count:
        raise _mismatch(node, f"has {len(shapes)} operands where {count} are supported")
    return shapes


def _mismatch(node: Node, found: str) -> UnsupportedError:
    return UnsupportedError(f"operator {node.op} (node {node.name!r}) {found}.")
