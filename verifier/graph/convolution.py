"""Conv and ConvTranspose in one and two dimensions; a row is an image of height 1."""

import numpy as np

from .builder import Builder, Value, refusal
from .proto import OnnxNode
from .shapes import Shape


def conv(builder: Builder, node: OnnxNode) -> None:
    """Grouped and dilated too; `auto_pad` becomes explicit pads."""
    value, kernel = builder.value(node.inputs[0]), constant(builder, node, 1)
    check_image(node, value, kernel)
    geometry = plain_geometry(node, value.dims[2:], kernel.shape[2:])
    params = _weights(builder, node, kernel)
    output = builder.emit(
        node, "Conv", [image(builder, node, value)], params, {**geometry, "group": node.attrs.get("group", 1)}
    )
    bind_image(builder, node, output, value)


def conv_transpose(builder: Builder, node: OnnxNode) -> None:
    value, kernel = builder.value(node.inputs[0]), constant(builder, node, 1)
    check_image(node, value, kernel)
    size, window = value.dims[2:], kernel.shape[2:]
    extra = tuple(node.attrs.get("output_padding", (0,) * len(window)))
    pads, extra = _open_pads(node, size, window, extra) if _is_open(node) else (None, extra)
    geometry = plain_geometry(node, size, window, pads)
    attrs = {**geometry, "group": node.attrs.get("group", 1), "extra": (0,) * (2 - len(extra)) + extra}
    output = builder.emit(node, "ConvTranspose", [image(builder, node, value)], _weights(builder, node, kernel), attrs)
    bind_image(builder, node, output, value)


def _is_open(node: OnnxNode) -> bool:
    return "output_shape" in node.attrs or node.attrs.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")


def _open_pads(node: OnnxNode, size: Shape, window: Shape, extra: Shape) -> tuple[Shape, Shape]:
    """Pads, and rows beyond them, of a transposed convolution whose output has a stated size; SAME: stride · input."""
    rank, upper = len(size), node.attrs.get("auto_pad") == "SAME_UPPER"
    strides, dilations = (tuple(node.attrs.get(key, (1,) * rank)) for key in ("strides", "dilations"))
    wanted = tuple(node.attrs.get("output_shape", ()))
    if not len(strides) == len(dilations) == len(extra) == len(window) == rank or len(wanted) not in (0, rank):
        raise refusal(node, f"has an output_shape {list(wanted)} or strides that do not fit", "Export explicit pads")
    wanted = wanted or tuple(n * stride for n, stride in zip(size, strides, strict=True))
    before, after, beyond = [], [], []
    for n, k, s, d, e, out in zip(size, window, strides, dilations, extra, wanted, strict=True):
        total = s * (n - 1) + e + (k - 1) * d + 1 - out
        half = max(0, total) // 2
        before.append(half if upper else max(0, total) - half)
        after.append(max(0, total) - before[-1])
        beyond.append(e + (max(0, -total) if "output_shape" in node.attrs else 0))
    return (*before, *after), tuple(beyond)


def check_image(node: OnnxNode, value: Value, kernel: np.ndarray) -> None:
    if len(value.dims) not in (3, 4) or value.dims[0] != 1 or kernel.ndim != len(value.dims):
        raise refusal(
            node,
            f"convolves {list(value.dims)} with a kernel {list(kernel.shape)}; supported: "
            "[batch,C,H,W] with [O,C/g,h,w], or [batch,C,L] with [O,C/g,l]",
            "Export one- or two-dimensional convolutions",
        )
    window = kernel.shape[2:]
    if tuple(node.attrs.get("kernel_shape", window)) != window:
        raise refusal(
            node,
            f"declares a kernel {list(node.attrs['kernel_shape'])} and holds {list(window)}",
            "Export the network again",
        )


def image(builder: Builder, node: OnnxNode, value: Value) -> str:
    """The canonical value as [C, H, W]."""
    channels, *size = value.dims[1:]
    return builder.reshape(node, value.name, (channels, *[1] * (2 - len(size)), *size))


def bind_image(builder: Builder, node: OnnxNode, output: str, value: Value) -> None:
    channels, height, width = builder.shapes[output]
    builder.bind(node, output, (1, channels, width) if len(value.dims) == 3 else (1, channels, height, width))


def plain_geometry(node: OnnxNode, size: Shape, kernel: Shape, pads: Shape | None = None) -> dict[str, Shape]:
    """strides, pads and dilations of a window of two axes; `pads` that are known already."""
    rank = len(size)
    strides = tuple(node.attrs.get("strides", (1,) * rank))
    dilations = tuple(node.attrs.get("dilations", (1,) * rank))
    if len(kernel) != rank or len(strides) != rank or len(dilations) != rank:
        raise refusal(node, f"has strides or dilations that do not fit {rank} axes", "Export the network again")
    if min(*strides, *dilations, 1) < 1:
        raise refusal(node, f"has strides {list(strides)} and dilations {list(dilations)}", "Export the network again")
    pads = _pads(node, size, kernel, strides, dilations) if pads is None else pads
    if len(pads) != 2 * rank:
        raise refusal(node, f"has pads {list(pads)} for {rank} axes", "Export the network again")
    if rank == 1:
        return {"strides": (1, *strides), "pads": (0, pads[0], 0, pads[1]), "dilations": (1, *dilations)}
    return {"strides": strides, "pads": pads, "dilations": dilations}


def _pads(node: OnnxNode, size: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> Shape:
    mode = node.attrs.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        return tuple(node.attrs.get("pads", (0,) * (2 * len(size))))
    if mode == "VALID":
        return (0,) * (2 * len(size))
    if mode not in ("SAME_UPPER", "SAME_LOWER") or min(strides) < 1:
        raise refusal(
            node,
            f"has auto_pad {mode!r}; supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER",
            "Export it with explicit pads",
        )
    if max(dilations, default=1) > 1:
        raise refusal(node, f"dilates with auto_pad {mode}, which runtimes do not read alike", "Export explicit pads")
    before, after = [], []
    for n, k, stride in zip(size, kernel, strides, strict=True):
        total = (-(-n // stride) - 1) * stride + k - n
        if total < -1:  # a first window moved inwards, or not
            raise refusal(
                node,
                f"strides by {stride} over windows of {k} with auto_pad {mode}, which runtimes do not read alike",
                "Export explicit pads",
            )
        total = max(0, total)
        small = total // 2
        before.append(small if mode == "SAME_UPPER" else total - small)
        after.append(total - small if mode == "SAME_UPPER" else small)
    return (*before, *after)


def constant(builder: Builder, node: OnnxNode, index: int) -> np.ndarray:
    array = builder.const(node.inputs[index])
    if array is None:
        raise refusal(
            node,
            f"takes {node.inputs[index]!r} from a computed value; supported: a constant",
            "Export it with constant weights",
        )
    return array


def _weights(builder: Builder, node: OnnxNode, kernel: np.ndarray) -> list[str]:
    spelled = kernel[:, :, None] if kernel.ndim == 3 else kernel
    params = [builder.param(node, node.inputs[1], np.ascontiguousarray(spelled))]
    if len(node.inputs) > 2 and node.inputs[2]:
        params.append(builder.param(node, node.inputs[2], constant(builder, node, 2)))
    return params
