"""Gemm, MatMul, Einsum that is one, and BatchNormalization in inference mode."""

import re
from dataclasses import replace

import numpy as np

from .activation import scaled, shifted
from .builder import Builder, Value, broadcast, refusal, size
from .convolution import constant
from .proto import OnnxNode
from .rounding import ROUNDED
from .shapes import Shape
from .spread import unbatched


def gemm(builder: Builder, node: OnnxNode) -> None:
    """alpha x' W' + beta c: the transposition goes into the weights. What alpha scales is summed before, or folded."""
    if builder.const(node.inputs[0]) is not None:
        raise refusal(
            node,
            "multiplies a constant by a computed value; supported: a computed value by a constant",
            "Export it as x W + c",
        )
    value, matrix = builder.value(node.inputs[0]), constant(builder, node, 1)
    dims = value.dims[::-1] if node.attrs.get("transA", 0) else value.dims
    several = len(dims) == 2 and dims[0] != 1
    if len(dims) != 2 or matrix.ndim != 2 or (node.attrs.get("transA", 0) and (builder.dynamic or several)):
        raise refusal(
            node,
            f"multiplies {list(dims)} by {list(matrix.shape)}; supported: [batch,in] by a matrix",
            "Flatten the value from axis 1",
        )
    weight = matrix if node.attrs.get("transB", 0) else matrix.T
    alpha, beta = (np.float64(node.number(key, 1)) for key in ("alpha", "beta"))
    least = float(np.finfo(builder.dtype).tiny)
    if any(0 < abs(scalar) < least for scalar in (alpha, beta)):
        raise refusal(node, f"has alpha {alpha:g} and beta {beta:g}; supported: normal numbers", "Check the export")
    if builder.dtype != np.float32 and beta != 1:  # of float32 the product is exact
        builder.rounds(ROUNDED + max(map(builder.off, node.inputs)))
    weights = [builder.param(node, node.inputs[1], np.ascontiguousarray(weight))]
    bias = constant(builder, node, 2) if len(node.inputs) > 2 and node.inputs[2] and beta != 0 else None
    bias = bias if bias is None or beta == 1 else beta * bias
    if several or alpha != 1:
        _apart(builder, node, value, weight.shape, weights, float(alpha), bias)
        return
    if bias is not None:
        weights.append(builder.param(node, node.inputs[2], _row(node, bias, weight.shape[0])))
    _linear(builder, node, value.name, weights, (1, weight.shape[0]))


def matmul(builder: Builder, node: OnnxNode) -> None:
    """Row vectors by a constant matrix, or a constant matrix by column vectors."""
    left = builder.const(node.inputs[0])
    value = builder.value(node.inputs[0] if left is None else node.inputs[1])
    matrix = builder.const(node.inputs[1]) if left is None else left
    if matrix is None:
        raise refusal(
            node,
            "multiplies two computed values; supported: a computed one and a constant",
            "Write the network without the product",
        )
    if not value.dims:
        raise refusal(node, "multiplies a single number", "Export the network again")
    if matrix.ndim == 1:
        _by_vector(builder, node, value, matrix, left is None)
        return
    features, rest = (value.dims[-1], value.dims[:-1]) if left is None else _column(value.dims)
    mixed = left is not None and builder.dynamic and len(value.dims) < 3  # W [B,n] would multiply across images
    if 2 < matrix.ndim <= len(value.dims) and size(matrix.shape[:-2]) == 1:
        matrix = matrix.reshape(matrix.shape[-2:])
    if matrix.ndim != 2 or mixed:
        raise refusal(
            node,
            f"multiplies {[list(a) for a in _operands(left is None, value.dims, matrix.shape)]}; "
            "supported: vectors of one image by a matrix",
            "Flatten the value from axis 1",
        )
    weight = matrix.T if left is None else matrix
    if features != weight.shape[1]:
        raise refusal(
            node,
            f"multiplies a vector of {features} by a matrix that takes {weight.shape[1]}",
            "Export the network again",
        )
    if size(rest) != 1:
        _many(builder, node, value, np.ascontiguousarray(weight), left is None)
        return
    out = weight.shape[0]
    column = left is not None and len(value.dims) > 1
    hint = node.inputs[1 if left is None else 0]
    weights = [builder.param(node, hint, np.ascontiguousarray(weight))]
    _linear(builder, node, value.name, weights, (*rest[:-1], out, 1) if column else (*rest, out))


def einsum(builder: Builder, node: OnnxNode) -> None:
    """Of a computed value and a constant matrix, where it is a MatMul: …i,io->…o or …i,oi->…o."""
    terms = re.fullmatch(r"([A-Za-z]+),([A-Za-z]{2})->([A-Za-z]+)", str(node.attrs["equation"]).replace(" ", ""))
    left, right, out = terms.groups() if terms else ("", "", "")
    letters = sorted({*left, *right})
    forms = {left[-1:] + out[-1:]: False, out[-1:] + left[-1:]: True}
    plain = left[:-1] == out[:-1] and len(set(left)) == len(left) and len(letters) == len(left) + 1
    matrix = builder.const(node.inputs[1]) if len(node.inputs) == 2 else None
    fits = matrix is not None and matrix.ndim == 2 and len(left) == len(builder.value(node.inputs[0]).dims)
    if matrix is None or not fits or not plain or right not in forms:
        raise refusal(node, f"is {node.attrs['equation']!r}; supported: 'bi,oi->bo' of a constant", "Write a MatMul")
    name = builder.names.fresh(f"{node.outputs[0]}.weight")
    builder.consts[name] = matrix.T if forms[right] else matrix
    matmul(builder, replace(node, op="MatMul", inputs=(node.inputs[0], name)))


def _by_vector(builder: Builder, node: OnnxNode, value: Value, vector: np.ndarray, last: bool) -> None:
    """The last axis, or the last but one, times the vector, summed."""
    rank = len(value.dims)
    axis = rank - 1 if last or rank == 1 else rank - 2
    if value.dims[axis] != len(vector):
        raise refusal(node, f"multiplies {list(value.dims)} by a vector of {len(vector)}", "Export the network again")
    name, lead = unbatched(builder, node, value, (axis,))
    if len(builder.shapes[name]) == 1:  # a value keeps an axis
        name, lead = builder.reshape(node, name, (1, *builder.shapes[name])), lead - 1
    factor = vector.reshape(-1, *(1,) * (rank - 1 - axis))
    name = builder.emit(node, "Mul", [name], [builder.param(node, node.inputs[1 if last else 0], factor)])
    name = builder.emit(node, "ReduceSum", [name], attrs={"axes": (axis - lead,)})
    builder.bind(node, name, (*value.dims[:axis], *value.dims[axis + 1 :]))


def batch_normalization(builder: Builder, node: OnnxNode) -> None:
    """(x - mean) · factor + shift, of which only the factor scale / sqrt(variance + epsilon) is rounded, in float64.

    The shift less mean · factor, as one number, would carry the error of the factor to where x is small.
    """
    if node.attrs.get("training_mode", 0) or any(node.outputs[1:]):
        raise refusal(node, "is in training mode", "Call model.eval() before exporting")
    value = builder.value(node.inputs[0])
    vectors = [constant(builder, node, i).astype(np.float64) for i in range(1, 5)]
    scale, shift, mean, variance = vectors
    if len(value.dims) < 2 or value.dims[0] != 1 or any(a.shape != value.dims[1:2] for a in vectors):
        raise refusal(
            node,
            f"normalises {list(value.dims)} with {list(scale.shape)} numbers; supported: one for each "
            "channel of [batch,C,…]",
            "Export the network again",
        )
    spread, least = variance + node.number("epsilon", 1e-5), float(np.finfo(builder.dtype).tiny)
    if not (spread >= least).all():
        raise refusal(node, "has a variance that is not positive, or may be flushed to 0", "Export a sound checkpoint")
    builder.rounds(4 * ROUNDED + sum(map(builder.off, node.inputs[1:])))
    name = builder.reshape(node, value.name, value.dims[1:])
    shape = (len(scale),) + (1,) * (len(value.dims) - 2)
    name = shifted(builder, node, name, -mean.reshape(shape))
    if ((scale != 0) & (abs(scale) < least)).any():  # may be flushed to 0 before it is divided
        name = scaled(builder, node, name, (1 / np.sqrt(spread)).reshape(shape))
        name = scaled(builder, node, name, scale.reshape(shape))
    else:
        name = scaled(builder, node, name, (scale / np.sqrt(spread)).reshape(shape))
    builder.bind(node, shifted(builder, node, name, shift.reshape(shape)), value.dims)


def _linear(builder: Builder, node: OnnxNode, value: str, params: list[str], dims: Shape) -> None:
    flat = builder.reshape(node, value, (size(builder.shapes[value]),))
    builder.bind(node, builder.emit(node, "Gemm", [flat], params), dims)


def _many(builder: Builder, node: OnnxNode, value: Value, weight: np.ndarray, rows: bool) -> None:
    """Every row, or every column, of a value times weight [out, in]."""
    rank = len(value.dims)
    name, _ = unbatched(builder, node, value, (rank - 1,) if rows else (rank - 2, rank - 1))
    axes = len(builder.shapes[name])
    swap = {"perm": (*range(axes - 2), axes - 1, axes - 2)}
    if not rows:
        name = builder.emit(node, "Transpose", [name], attrs=swap)
    hint = node.inputs[1 if rows else 0]
    name = builder.emit(node, "MatMul", [name], [builder.param(node, hint, weight)])
    if not rows:
        name = builder.emit(node, "Transpose", [name], attrs=swap)
    out = weight.shape[0]
    builder.bind(node, name, (*value.dims[:-1], out) if rows else (*value.dims[:-2], out, value.dims[-1]))


def _apart(
    builder: Builder,
    node: OnnxNode,
    value: Value,
    matrix: Shape,
    weights: list[str],
    alpha: float,
    bias: np.ndarray | None,
) -> None:
    """Gemm of several rows, or with an alpha: the product, then what scales it, then the bias on each row."""
    outputs, inputs = matrix
    dims = (1, outputs) if size(value.dims) == inputs else (value.dims[0], outputs)
    if size(value.dims) != dims[0] * inputs:
        raise refusal(node, f"multiplies {list(value.dims)} by {[inputs, outputs]}", "Export the network again")
    if dims[0] == 1:
        flat = builder.reshape(node, value.name, (inputs,))
        name = builder.emit(node, "Gemm", [flat], weights)
    else:
        name = builder.emit(node, "MatMul", [value.name], weights)
    if alpha != 1:
        name = scaled(builder, node, name, alpha)
    if bias is not None:
        if broadcast(node, bias.shape, dims) != dims:
            raise refusal(node, f"has a bias {list(bias.shape)} for {list(dims)}", "Export the network again")
        shift = builder.param(node, node.inputs[2], _row(node, bias, outputs) if dims[0] == 1 else bias)
        name = builder.emit(node, "Add", [name], [shift])
    builder.bind(node, name, dims)


def _row(node: OnnxNode, bias: np.ndarray, out: int) -> np.ndarray:
    if broadcast(node, bias.shape, (1, out)) != (1, out):
        raise refusal(node, f"has a bias {list(bias.shape)} for {out} outputs", "Export the network again")
    return np.array(np.broadcast_to(bias.reshape(bias.shape[-1:]), (out,)))


def _column(dims: Shape) -> tuple[int, Shape]:
    """[n], or [..., n, 1]: the vector's length, and the axes beside it."""
    return (dims[0], ()) if len(dims) == 1 else (dims[-2], (*dims[:-2], dims[-1]))


def _operands(value_first: bool, value: Shape, matrix: Shape) -> tuple[Shape, Shape]:
    return (value, matrix) if value_first else (matrix, value)
