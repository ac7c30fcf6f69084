"""Conv, Gemm, MatMul and BatchNormalization in inference mode."""

import numpy as np

from .builder import Builder, broadcast, refusal, size
from .proto import OnnxNode
from .shapes import Shape


def conv(builder: Builder, node: OnnxNode) -> None:
    """Two-dimensional, grouped and dilated too; `auto_pad` becomes explicit pads."""
    value, kernel = builder.value(node.inputs[0]), _constant(builder, node, 1)
    if len(value.dims) != 4 or value.dims[0] != 1 or kernel.ndim != 4:
        raise refusal(
            node,
            f"convolves {list(value.dims)} with a kernel {list(kernel.shape)}; supported: "
            "[batch,C,H,W] with [O,C/g,h,w]",
            "Export two-dimensional convolutions",
        )
    window = kernel.shape[2:]
    if tuple(node.attrs.get("kernel_shape", window)) != window:
        raise refusal(
            node,
            f"declares a kernel {list(node.attrs['kernel_shape'])} and holds {list(window)}",
            "Export the network again",
        )
    strides, dilations = node.attrs.get("strides", (1, 1)), node.attrs.get("dilations", (1, 1))
    attrs = {
        "strides": strides,
        "pads": _pads(node, value.dims[2:], window, strides, dilations),
        "dilations": dilations,
        "group": node.attrs.get("group", 1),
    }
    params = [builder.param(node, node.inputs[1], kernel)]
    if len(node.inputs) > 2 and node.inputs[2]:
        params.append(builder.param(node, node.inputs[2], _constant(builder, node, 2)))
    output = builder.emit(node, "Conv", [builder.reshape(node, value.name, value.dims[1:])], params, attrs)
    builder.bind(node, output, (1, *builder.shapes[output]))


def _pads(node: OnnxNode, image: Shape, window: Shape, strides: Shape, dilations: Shape) -> Shape:
    mode = node.attrs.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        return node.attrs.get("pads", (0, 0, 0, 0))
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode not in ("SAME_UPPER", "SAME_LOWER") or len(strides) != 2 or len(dilations) != 2 or min(strides) < 1:
        raise refusal(
            node,
            f"has auto_pad {mode!r}; supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER",
            "Export it with explicit pads",
        )
    before, after = [], []
    for n, k, stride, dilation in zip(image, window, strides, dilations, strict=True):
        total = max(0, (-(-n // stride) - 1) * stride + dilation * (k - 1) + 1 - n)
        small = total // 2
        before.append(small if mode == "SAME_UPPER" else total - small)
        after.append(total - small if mode == "SAME_UPPER" else small)
    return (*before, *after)


def gemm(builder: Builder, node: OnnxNode) -> None:
    """alpha x' W' + beta c: the scalars and the transposition go into the weights."""
    if builder.const(node.inputs[0]) is not None:
        raise refusal(
            node,
            "multiplies a constant by a computed value; supported: a computed value by a constant",
            "Export it as x W + c",
        )
    value, matrix = builder.value(node.inputs[0]), _constant(builder, node, 1)
    dims = value.dims[::-1] if node.attrs.get("transA", 0) else value.dims
    if len(dims) != 2 or dims[0] != 1 or matrix.ndim != 2 or (builder.dynamic and node.attrs.get("transA", 0)):
        raise refusal(
            node,
            f"multiplies {list(dims)} by {list(matrix.shape)}; supported: [batch,in] by a matrix",
            "Flatten the value from axis 1",
        )
    weight = matrix if node.attrs.get("transB", 0) else matrix.T
    alpha, beta = (builder.dtype.type(node.attrs.get(key, 1.0)) for key in ("alpha", "beta"))
    weight = np.ascontiguousarray(weight if alpha == 1 else alpha * weight)
    params = [builder.param(node, node.inputs[1], weight)]
    if len(node.inputs) > 2 and node.inputs[2] and beta != 0:
        bias = _row(node, _constant(builder, node, 2), weight.shape[0])
        params.append(builder.param(node, node.inputs[2], bias if beta == 1 else beta * bias))
    _linear(builder, node, value.name, params, (1, weight.shape[0]))


def matmul(builder: Builder, node: OnnxNode) -> None:
    """A row vector by a constant matrix, or a constant matrix by a column vector."""
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
    features, rest = (value.dims[-1], value.dims[:-1]) if left is None else _column(value.dims)
    mixed = left is not None and builder.dynamic and len(value.dims) < 3  # W [B,n] would multiply across images
    if matrix.ndim != 2 or size(rest) != 1 or mixed:
        raise refusal(
            node,
            f"multiplies {[list(a) for a in _operands(left is None, value.dims, matrix.shape)]}; "
            "supported: one vector of each image by a matrix",
            "Flatten the value from axis 1",
        )
    weight = matrix.T if left is None else matrix
    if features != weight.shape[1]:
        raise refusal(
            node,
            f"multiplies a vector of {features} by a matrix that takes {weight.shape[1]}",
            "Export the network again",
        )
    out = weight.shape[0]
    column = left is not None and len(value.dims) > 1
    hint = node.inputs[1 if left is None else 0]
    weights = [builder.param(node, hint, np.ascontiguousarray(weight))]
    _linear(builder, node, value.name, weights, (*rest[:-1], out, 1) if column else (*rest, out))


def batch_normalization(builder: Builder, node: OnnxNode) -> None:
    """Mul by scale / sqrt(variance + epsilon), then Add; both computed in float64 and rounded once."""
    if node.attrs.get("training_mode", 0) or any(node.outputs[1:]):
        raise refusal(node, "is in training mode", "Call model.eval() before exporting")
    value = builder.value(node.inputs[0])
    vectors = [_constant(builder, node, i).astype(np.float64) for i in range(1, 5)]
    scale, shift, mean, variance = vectors
    if len(value.dims) < 2 or value.dims[0] != 1 or any(a.shape != value.dims[1:2] for a in vectors):
        raise refusal(
            node,
            f"normalises {list(value.dims)} with {list(scale.shape)} numbers; supported: one for each "
            "channel of [batch,C,…]",
            "Export the network again",
        )
    if (variance + node.attrs.get("epsilon", 1e-5) <= 0).any():
        raise refusal(node, "has a variance that is not positive", "Export a sound checkpoint")
    factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    shape = (len(scale),) + (1,) * (len(value.dims) - 2)
    base = node.outputs[0]
    factors = builder.param(node, f"{base}.scale", factor.reshape(shape).astype(builder.dtype))
    shifts = builder.param(node, f"{base}.shift", (shift - mean * factor).reshape(shape).astype(builder.dtype))
    scaled = builder.emit(node, "Mul", [builder.reshape(node, value.name, value.dims[1:])], [factors])
    builder.bind(node, builder.emit(node, "Add", [scaled], [shifts]), value.dims)


def _linear(builder: Builder, node: OnnxNode, value: str, params: list[str], dims: Shape) -> None:
    flat = builder.reshape(node, value, (size(builder.shapes[value]),))
    builder.bind(node, builder.emit(node, "Gemm", [flat], params), dims)


def _row(node: OnnxNode, bias: np.ndarray, out: int) -> np.ndarray:
    if broadcast(node, bias.shape, (1, out)) != (1, out):
        raise refusal(node, f"has a bias {list(bias.shape)} for {out} outputs", "Export the network again")
    return np.array(np.broadcast_to(bias.reshape(bias.shape[-1:]), (out,)))


def _column(dims: Shape) -> tuple[int, Shape]:
    """[n], or [..., n, 1]: the vector's length, and the axes beside it."""
    return (dims[0], ()) if len(dims) == 1 else (dims[-2], (*dims[:-2], dims[-1]))


def _operands(value_first: bool, value: Shape, matrix: Shape) -> tuple[Shape, Shape]:
    return (value, matrix) if value_first else (matrix, value)


def _constant(builder: Builder, node: OnnxNode, index: int) -> np.ndarray:
    array = builder.const(node.inputs[index])
    if array is None:
        raise refusal(
            node,
            f"takes {node.inputs[index]!r} from a computed value; supported: a constant",
            "Export it with constant weights",
        )
    return array
