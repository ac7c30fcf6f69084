"""Pooling and sums. An average is a convolution of each channel by itself, divided by the count; a maximum is a tree of
max(a, b) = b + relu(a - b), first along rows, then along columns."""

from collections.abc import Sequence
from math import prod

import numpy as np

from .activation import divided, largest, scaled
from .builder import INDEX_BYTES, Builder, refusal
from .convolution import bind_image, image, plain_geometry
from .proto import OnnxNode
from .shapes import Shape
from .spread import check_taken, numbers, positive_axis, taken, unbatched

_MOST = 1024  # entries of a window along one axis


def average_pool(builder: Builder, node: OnnxNode) -> None:
    """Pads count where `count_include_pad` says so; what `ceil_mode` adds beyond them never does."""
    value = builder.value(node.inputs[0])
    kernel, strides, pads, dilations = _geometry(node, value.dims)
    name = image(builder, node, value)
    channels, *size = builder.shapes[name]
    counted = bool(node.attrs.get("count_include_pad", 0))
    extra = _extra(node, size, kernel, strides, pads, dilations)
    builder.room(max(size) + 2 * _MOST, INDEX_BYTES)
    counts = [
        _counts(size[i], kernel[i], strides[i], (pads[i], pads[2 + i] + extra[i]), dilations[i], counted, pads[2 + i])
        for i in (0, 1)
    ]
    builder.room(len(counts[0]) * len(counts[1]), np.dtype(np.float64).itemsize)
    divisors = np.outer(*counts)
    weight = np.broadcast_to(builder.dtype.type(1), (channels, 1, *kernel))
    attrs = {
        "strides": strides,
        "pads": (pads[0], pads[1], pads[2] + extra[0], pads[3] + extra[1]),
        "dilations": dilations,
        "group": channels,
    }
    output = builder.emit(node, "Conv", [name], [builder.param(node, f"{node.outputs[0]}.sum", weight)], attrs)
    even = bool((divisors == divisors.flat[0]).all())
    bind_image(builder, node, divided(builder, node, output, divisors.flat[0] if even else divisors[None]), value)


def max_pool(builder: Builder, node: OnnxNode) -> None:
    """Beyond the border stands the nearest entry of the image, which lies in the same window."""
    value = builder.value(node.inputs[0])
    kernel, strides, pads, dilations = _geometry(node, value.dims)
    name = image(builder, node, value)
    extra = _extra(node, builder.shapes[name][1:], kernel, strides, pads, dilations)
    for i in (1, 0):
        n, before, after = builder.shapes[name][1 + i], pads[i], pads[2 + i] + extra[i]
        if before >= dilations[i] * kernel[i] or pads[2 + i] >= dilations[i] * kernel[i]:
            raise refusal(node, f"pads a window of {kernel[i]} by {before} and {after}", "Pad less")
        if (before or after) and dilations[i] > 1:
            name = _maximum_inside(builder, node, name, i, kernel[i], strides[i], dilations[i], (before, after))
            continue
        if before or after:
            check_taken(builder, node, n + before + after)
            name = taken(builder, node, name, 1 + i, [min(max(k, 0), n - 1) for k in range(-before, n + after)])
        name = _maximum_along(builder, node, name, i, kernel[i], strides[i], dilations[i])
    bind_image(builder, node, name, value)


def global_pool(builder: Builder, node: OnnxNode) -> None:
    """GlobalAveragePool and GlobalMaxPool: over all axes but batch and channels."""
    value = builder.value(node.inputs[0])
    axes = tuple(range(2, len(value.dims)))
    _reduced(builder, node, axes, True)


def reduce_(builder: Builder, node: OnnxNode) -> None:
    """ReduceSum, ReduceMean, ReduceMax, ReduceMin; the axes are an attribute in older opsets and an input since."""
    rank = len(builder.value(node.inputs[0]).dims)
    named = numbers(builder, node, 1, "axes")
    if not named and node.attrs.get("noop_with_empty_axes", 0):
        named = []
    elif not named:
        named = list(range(rank))
    axes = tuple(sorted({positive_axis(node, axis, rank) for axis in named}))
    _reduced(builder, node, axes, bool(node.attrs.get("keepdims", 1)))


def _reduced(builder: Builder, node: OnnxNode, axes: Shape, keep: bool) -> None:
    value = builder.value(node.inputs[0])
    name, lead = unbatched(builder, node, value, axes)
    places = [axis - lead for axis in axes]
    if places and len(places) == len(builder.shapes[name]):  # a value keeps an axis
        name, places = builder.reshape(node, name, (1, *builder.shapes[name])), [place + 1 for place in places]
    if node.op.endswith(("Max", "MaxPool", "Min")):
        sign = -1 if node.op.endswith("Min") else 1
        name = scaled(builder, node, name, sign)
        for axis in places:
            while (n := builder.shapes[name][axis]) > 1:
                half = (n + 1) // 2  # an odd one in the middle meets itself
                ends = [taken(builder, node, name, axis, part) for part in (range(half), range(n - half, n))]
                name = largest(builder, node, ends)
        name = scaled(builder, node, name, sign)
    elif places:
        count = prod(value.dims[axis] for axis in axes)
        name = builder.emit(node, "ReduceSum", [name], attrs={"axes": tuple(places)})
        if "Sum" not in node.op:
            name = divided(builder, node, name, count)
    dims = tuple(1 if axis in axes else n for axis, n in enumerate(value.dims) if keep or axis not in axes)
    builder.bind(node, name, dims)


def _maximum_along(
    builder: Builder, node: OnnxNode, name: str, axis: int, kernel: int, stride: int, dilation: int
) -> str:
    """The maximum of windows along the height (0) or the width (1) of [C, H, W]."""
    if (kernel, stride) == (1, 1):
        return name
    taps = list(range(kernel))
    maxima = []
    for first, second in zip(taps[::2], taps[1::2], strict=False):
        lead = _tap(builder, node, name, axis, kernel, stride, dilation, {first: 1, second: -1})
        base = _tap(builder, node, name, axis, kernel, stride, dilation, {second: 1})
        maxima.append(builder.emit(node, "Add", [base, builder.emit(node, "Relu", [lead])]))
    if kernel % 2:
        maxima.append(_tap(builder, node, name, axis, kernel, stride, dilation, {kernel - 1: 1}))
    return largest(builder, node, maxima)


def _maximum_inside(
    builder: Builder,
    node: OnnxNode,
    name: str,
    axis: int,
    kernel: int,
    stride: int,
    dilation: int,
    ends: tuple[int, int],
) -> str:
    """As `_maximum_along`, of the entries of each window that lie in the image: others give way to one of these."""
    n = builder.shapes[name][1 + axis]
    count = (n + sum(ends) - dilation * (kernel - 1) - 1) // stride + 1
    builder.room(max(count, 0) * kernel, INDEX_BYTES)
    taps = np.arange(max(count, 0))[:, None] * stride - ends[0] + np.arange(kernel)[None] * dilation
    inside = (taps >= 0) & (taps < n)
    if not inside.any(1).all():
        raise refusal(node, "has a window with nothing of the image in it", "Pad less")
    first = np.take_along_axis(taps, inside.argmax(1)[:, None], 1)
    columns = np.where(inside, taps, first).T.tolist()
    return largest(builder, node, [taken(builder, node, name, 1 + axis, column) for column in columns])


def _tap(
    builder: Builder, node: OnnxNode, name: str, axis: int, kernel: int, stride: int, dilation: int, tap: dict[int, int]
) -> str:
    """Some entries of each window along one axis, weighted: a convolution, so that windows stay windows."""
    channels = builder.shapes[name][0]
    line = np.zeros(kernel, builder.dtype)
    for place, factor in tap.items():
        line[place] = factor
    size = (kernel, 1) if axis == 0 else (1, kernel)
    weight = np.broadcast_to(line.reshape(size), (channels, 1, *size))
    attrs = {
        "strides": (stride, 1) if axis == 0 else (1, stride),
        "pads": (0, 0, 0, 0),
        "dilations": (dilation, 1) if axis == 0 else (1, dilation),
        "group": channels,
    }
    return builder.emit(node, "Conv", [name], [builder.param(node, f"{node.outputs[0]}.tap", weight)], attrs)


def _geometry(node: OnnxNode, dims: Shape) -> tuple[Shape, Shape, Shape, Shape]:
    """Kernel, strides, pads and dilations of two axes each."""
    kernel = tuple(node.attrs["kernel_shape"])
    if len(dims) not in (3, 4) or dims[0] != 1 or len(kernel) != len(dims) - 2 or min(kernel) < 1:
        raise refusal(
            node,
            f"pools {list(dims)} by windows {list(kernel)}; supported: [batch,C,H,W] and [batch,C,L]",
            "Export one- or two-dimensional pooling",
        )
    found = plain_geometry(node, dims[2:], kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, found["dilations"][-len(kernel) :], strict=True)]
    if (
        max(found["pads"]) >= max(kernel)
        or max(kernel) > _MOST
        or any(r > n + 2 * k for r, n, k in zip(reach, dims[2:], kernel, strict=True))
    ):
        raise refusal(
            node,
            f"pools {list(dims)} by windows {list(kernel)} and pads {list(found['pads'])}; supported: windows of at "
            f"most {_MOST}, not beyond the image, and smaller pads",
            "Check the export",
        )
    return (1,) * (2 - len(kernel)) + kernel, found["strides"], found["pads"], found["dilations"]


def _extra(
    node: OnnxNode, size: Sequence[int], kernel: Shape, strides: Shape, pads: Shape, dilations: Shape
) -> tuple[int, int]:
    """Rows and columns beyond the pads that the last windows reach where sizes are rounded up."""
    if not node.attrs.get("ceil_mode", 0):
        return 0, 0
    extra = []
    for i, n in enumerate(size):
        room = n + pads[i] + pads[2 + i] - dilations[i] * (kernel[i] - 1) - 1
        steps = -(-room // strides[i])
        if steps * strides[i] >= n + pads[i]:  # a window may not start beyond the image
            steps -= 1
        extra.append(max(0, steps * strides[i] - room))
    return extra[0], extra[1]


def _counts(
    n: int, kernel: int, stride: int, ends: tuple[int, int], dilation: int, counted: bool, after: int
) -> np.ndarray:
    """How many entries of each window along one axis count; `ends`: all that lies before and after the image."""
    steps = (n + sum(ends) - dilation * (kernel - 1) - 1) // stride + 1
    starts = np.arange(max(steps, 1)) * stride - ends[0]
    low, high = (-ends[0], n + after) if counted else (0, n)
    first, beyond = (np.clip(-((starts - end) // dilation), 0, kernel) for end in (low, high))
    return np.maximum(beyond - first, 1)
