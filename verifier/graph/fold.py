"""Operators on constants alone, evaluated while loading: shapes for a Reshape, transposed or retyped weights."""

from collections.abc import Callable
from functools import reduce
from math import prod

import numpy as np
from onnx import TensorProto

from ..errors import InputError
from .axes import axes_of, cut, reshaped, unsqueezed
from .builder import broadcast, refusal
from .proto import OnnxNode
from .shapes import MAX_ELEMENTS, Shape

Fold = Callable[[OnnxNode, list[np.ndarray]], np.ndarray]

_CAST = {
    TensorProto.FLOAT16: np.float16,
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.BOOL: np.bool_,
}
_ROUNDING = {"Add", "DequantizeLinear", "Div", "Exp", "Log", "Mul", "Pow", "Range", "Reciprocal"}
_ROUNDING |= {"ReduceL2", "ReduceMean", "ReduceProd", "ReduceSum", "Sqrt", "Sub"}
_JUMPING = ("Ceil", "Floor", "Round", "Sign")


def fold(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    """The constant that `node` computes. Raises `UnsupportedError` or `InputError` where it cannot be had."""
    if node.op not in FOLDS:
        raise refusal(node, "is applied to constants alone", "Fold constants before exporting")
    try:
        return FOLDS[node.op](node, arrays)
    except (ValueError, IndexError, TypeError, KeyError, ArithmeticError) as error:
        raise InputError(
            f"operator {node.op} (node {node.name!r}) cannot be evaluated on its constants: {error}. "
            "Export the network again."
        ) from error


def exactly(node: OnnxNode, exact: list[np.ndarray], rounded: list[np.ndarray], result: np.ndarray) -> np.ndarray:
    """As `fold`, with what it rounds in float64. exact: the operands' own numbers; rounded: the same in the file's
    types, of which `fold` made `result`.
    """
    derived = any(a is not b for a, b in zip(exact, rounded, strict=True))
    if node.op == "Shape" or not (derived or node.op in _ROUNDING):
        return result
    before, after = rounded[0].dtype, result.dtype
    floats = before.kind == after.kind == "f"
    if node.op in ("Cast", "CastLike") and floats and before.itemsize <= after.itemsize:
        return exact[0]
    return fold(node, [array.astype(np.float64) if array.dtype.kind == "f" else array for array in exact])


def jumps(node: OnnxNode, result: np.ndarray) -> bool:
    """Whether a small difference in an operand may make a large one."""
    return result.dtype.kind != "f" or node.op in _JUMPING


def constant_value(node: OnnxNode) -> np.ndarray:
    """What a Constant node holds."""
    types = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for key, value in node.attrs.items():
        if key == "value":
            return value
        if key in types:
            return np.array(value, types[key])
    raise refusal(node, "holds neither numbers nor a tensor", "Export the network again")


def shape_of(node: OnnxNode, dims: Shape) -> np.ndarray:
    return np.array(dims[node.attrs.get("start", 0) : node.attrs.get("end", len(dims))], np.int64)


def _unsqueeze(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    count = np.size(arrays[1] if len(arrays) > 1 else node.attrs["axes"])
    axes = axes_of(node, arrays, arrays[0].ndim + count)
    return arrays[0].reshape(unsqueezed(arrays[0].shape, axes or ()))


def _cast(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    to = arrays[1].dtype if node.op == "CastLike" else np.dtype(_CAST[node.attrs["to"]])
    bits = 8 * to.itemsize - (to.kind == "i")
    if to.kind in "iu" and arrays[0].dtype.kind == "f" and not (np.abs(arrays[0]) < 2.0**bits).all():
        raise ValueError(f"numbers that {to} does not hold")  # what becomes of them differs between machines
    return arrays[0].astype(to)


def _concat(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    _bounded(sum(array.size for array in arrays))
    return np.concatenate(arrays, axis=node.attrs["axis"])


def _gather(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    data, indices = arrays
    axis = node.attrs.get("axis", 0)
    _bounded(prod(data.shape[:axis]) * indices.size * prod(data.shape[axis:][1:]))
    return np.take(data, indices, axis=axis)


def _slice(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    if len(arrays) > 1:
        starts, ends, *rest = (array.ravel().tolist() for array in arrays[1:])
    else:
        starts, ends, rest = list(node.attrs["starts"]), list(node.attrs["ends"]), []
        if "axes" in node.attrs:
            rest = [list(node.attrs["axes"])]
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    result = arrays[0]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        result = np.take(result, cut(start, end, step, arrays[0].shape[axis]), axis)
    return result


def _constant_of_shape(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    shape, value = arrays[0].ravel().tolist(), node.attrs.get("value", np.zeros(1, np.float32))
    _bounded(prod(shape))
    return np.full(shape, value.ravel()[0])


def _expand(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    shape = broadcast(node, arrays[0].shape, tuple(arrays[1].ravel().tolist()))
    _bounded(prod(shape))
    return np.array(np.broadcast_to(arrays[0], shape))


def _flatten(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    (array,) = arrays
    return array.reshape(prod(array.shape[: node.attrs.get("axis", 1)]), -1)


def _range(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    start, stop, step = (float(array.item()) for array in arrays)
    _bounded(int((stop - start) / step))
    return np.arange(start, stop, step).astype(arrays[0].dtype)


def _reduction(function: Callable[..., np.ndarray]) -> Fold:
    def apply(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
        axes = axes_of(node, arrays, arrays[0].ndim) or None
        if axes is None and node.attrs.get("noop_with_empty_axes", 0):
            raise ValueError("a reduction of no axes")
        keep = bool(node.attrs.get("keepdims", 1))
        return np.asarray(function(arrays[0], axis=axes, keepdims=keep), arrays[0].dtype)

    return apply


def _length(array: np.ndarray, axis: Shape | None, keepdims: bool) -> np.ndarray:
    return np.sqrt(np.sum(np.square(array), axis=axis, keepdims=keepdims))


def _tile(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    array, repeats = arrays[0], arrays[1].ravel().tolist()
    if len(repeats) != array.ndim or min(repeats, default=1) < 0:
        raise ValueError(f"repeats {repeats} of {list(array.shape)}")
    _bounded(array.size * prod(repeats))
    return np.tile(array, repeats)


def _where(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    shape = broadcast(node, *(array.shape for array in arrays))
    _bounded(prod(shape))
    return np.where(*arrays)


def _arithmetic(function: Callable[..., np.ndarray]) -> Fold:
    """Of operands of one type, the result's too."""
    compared = _pairs(function)

    def apply(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
        if len({array.dtype for array in arrays}) != 1:
            raise ValueError(f"types {' and '.join(str(array.dtype) for array in arrays)}")
        return np.asarray(compared(node, arrays), arrays[0].dtype)

    return apply


def _pairs(function: Callable[..., np.ndarray]) -> Fold:
    """Of two operands, or of more one after the other."""

    def apply(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
        _bounded(prod(broadcast(node, *(array.shape for array in arrays))))
        return reduce(function, arrays)

    return apply


def _dequantize(node: OnnxNode, arrays: list[np.ndarray]) -> np.ndarray:
    """(x - zero) · scale, of whole numbers, by one scale or one for each entry of an axis."""
    quantized, scale, *zero = arrays
    if node.attrs.get("block_size", 0) or node.attrs.get("output_dtype", 0) not in (0, TensorProto.FLOAT):
        raise refusal(node, "scales blocks, or to another type", "Export weights with a scale for each channel")
    if scale.size > 1:
        axis = node.attrs.get("axis", 1) % quantized.ndim
        if scale.shape != quantized.shape[axis : axis + 1]:
            raise ValueError(f"scales {list(scale.shape)} for {list(quantized.shape)}")
        shape = (-1,) + (1,) * (quantized.ndim - 1 - axis)
        scale, zero = scale.reshape(shape), [array.reshape(shape) for array in zero]
    whole = quantized.astype(np.int64) - (zero[0].astype(np.int64) if zero else 0)
    return whole.astype(scale.dtype) * (scale.reshape(()) if scale.size == 1 else scale)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return a / b
    if (a < 0).any() or (b <= 0).any():
        raise ValueError("integers that are not positive")
    return a // b


def _bounded(size: int) -> None:
    if size > MAX_ELEMENTS:
        raise ValueError(f"a result of more than {MAX_ELEMENTS} numbers")


FOLDS: dict[str, Fold] = {
    "Abs": lambda node, arrays: np.abs(arrays[0]),
    "And": _pairs(np.logical_and),
    "Ceil": lambda node, arrays: np.ceil(arrays[0]),
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantize,
    "Equal": _pairs(np.equal),
    "Exp": lambda node, arrays: np.exp(arrays[0]),
    "Expand": _expand,
    "Floor": lambda node, arrays: np.floor(arrays[0]),
    "Flatten": _flatten,
    "Identity": lambda node, arrays: arrays[0],
    "Log": lambda node, arrays: np.log(arrays[0]),
    "Greater": _pairs(np.greater),
    "GreaterOrEqual": _pairs(np.greater_equal),
    "Less": _pairs(np.less),
    "LessOrEqual": _pairs(np.less_equal),
    "Max": _arithmetic(np.maximum),
    "Min": _arithmetic(np.minimum),
    "Not": lambda node, arrays: np.logical_not(arrays[0]),
    "Or": _pairs(np.logical_or),
    "Round": lambda node, arrays: np.rint(arrays[0]),
    "Sign": lambda node, arrays: np.sign(arrays[0]),
    "Neg": lambda node, arrays: -arrays[0],
    "Pow": lambda node, arrays: np.asarray(_pairs(np.power)(node, arrays), arrays[0].dtype),
    "Range": _range,
    "Reciprocal": lambda node, arrays: 1 / arrays[0],
    "ReduceL2": _reduction(_length),
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(np.mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "Sqrt": lambda node, arrays: np.sqrt(arrays[0]),
    "Tile": _tile,
    "Where": _where,
    "Cast": _cast,
    "CastLike": _cast,
    "Transpose": lambda node, arrays: np.transpose(arrays[0], node.attrs.get("perm")),
    "Reshape": lambda node, arrays: arrays[0].reshape(reshaped(node, arrays[0].shape, arrays[1].ravel().tolist())),
    "Unsqueeze": _unsqueeze,
    "Squeeze": lambda node, arrays: np.squeeze(arrays[0], axes_of(node, arrays, arrays[0].ndim)),
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply),
    "Div": _arithmetic(_divide),
}
