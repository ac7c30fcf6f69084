"""Windows of convolutions and pools: how an ONNX node lays them over its input."""

import itertools
import math
from typing import NamedTuple

import numpy as np

from .builder import Builder, Node, Value, Variable, variable
from .moves import Inputs
from .rounding import MOST_ENTRIES
from .steps import Array, Part


class Layout(NamedTuple):
    """spatial: sizes of the output; before: entries of padding before the input."""

    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def layout(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> Layout:
    """Raises NotCovered where the node's attributes make no windows, or by rounding up."""
    rank = len(sizes)
    strides, dilations = (tuple(node.get(name, [1] * rank)) for name in ("strides", "dilations"))
    pads, auto = list(node.get("pads", [0] * 2 * rank)), node.get("auto_pad", "NOTSET")
    counts = (len(kernel), len(strides), len(dilations), len(pads) / 2)
    if any(count != rank for count in counts) or min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise node.refuse("its kernel, strides, dilations or pads do not fit its input.")
    if max(*kernel, *strides, *dilations, *pads) > 2**20 or node.get("ceil_mode", 0):
        raise node.refuse("ceil_mode and windows of more than 2^20 entries are not covered.")
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        whole = [max(0, (-(-s // t) - 1) * t + r - s) for s, t, r in zip(sizes, strides, reach, strict=True)]
        less, more = [w // 2 for w in whole], [w - w // 2 for w in whole]
        pads = less + more if auto == "SAME_UPPER" else more + less
    elif auto not in ("NOTSET", "VALID") or (auto == "VALID" and any(pads)):
        raise node.refuse(f"auto_pad {auto!r} with pads {pads[:8]}.")
    before, after = tuple(pads[:rank]), tuple(pads[rank:])
    axes = zip(sizes, before, after, reach, strides, strict=True)
    spatial = tuple((s + b + a - r) // t + 1 for s, b, a, r, t in axes)
    if min(spatial) < 1:
        raise node.refuse("a window is larger than its input.")
    return Layout(spatial, tuple(kernel), strides, dilations, before, after)


def _groups(node: Node, shape: tuple[int, ...], found: Layout) -> Array:
    """Places in the input [outputs, windows' entries], the input's size for padding."""
    size, rank = math.prod(shape), len(found.kernel)
    channels = math.prod(shape[: len(shape) - rank])
    if channels * math.prod(found.spatial) * math.prod(found.kernel) > 16 * MOST_ENTRIES:
        raise node.refuse("its windows have too many entries.")
    behind = [a + t for a, t in zip(found.after, found.strides, strict=True)]
    widths = [(0, 0), *zip(found.before, behind, strict=True)]
    wide = np.pad(np.arange(size).reshape(channels, *shape[-rank:]), widths, constant_values=size)
    axes = list(zip(found.dilations, found.strides, found.spatial, strict=True))
    parts = []
    for at in itertools.product(*map(range, found.kernel)):
        window = [slice(d * k, d * k + t * (o - 1) + 1, t) for k, (d, t, o) in zip(at, axes, strict=True)]
        parts.append(wide[tuple([slice(None)] + window)].reshape(-1))
    return np.stack(parts, 1)


def max_pool(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
    value = variable(node, inputs[0])
    if len(value.shape) < 3 or node.outputs != 1:
        raise node.refuse("one output of an input with channels is covered.")
    found = layout(node, value.shape[2:], tuple(node.get("kernel_shape", ())))
    groups = _groups(node, value.shape, found)
    if (groups == value.size).all(1).any():
        raise node.refuse("a window holds nothing but padding.")
    return [builder.greatest(value, groups, (*value.shape[:2], *found.spatial))]


def average_pool(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
    value = variable(node, inputs[0])
    if len(value.shape) < 3:
        raise node.refuse("an input with channels is covered.")
    found = layout(node, value.shape[2:], tuple(node.get("kernel_shape", ())))
    return [_averaged(node, builder, value, found, bool(node.get("count_include_pad", 0)))]


def global_average_pool(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only()
    value = variable(node, inputs[0])
    sizes, rank = value.shape[2:], len(value.shape) - 2
    if rank < 1:
        raise node.refuse("an input with channels is covered.")
    whole = Layout((1,) * rank, sizes, (1,) * rank, (1,) * rank, (0,) * rank, (0,) * rank)
    return [_averaged(node, builder, value, whole, True)]


def _averaged(node: Node, builder: Builder, own: Variable, found: Layout, padding: bool) -> Value:
    groups = _groups(node, own.shape, found)
    inside = groups < own.size
    counts = np.full(len(groups), groups.shape[1]) if padding else inside.sum(1)
    if (counts == 0).any():
        raise node.refuse("a window holds nothing but padding.")
    wide = builder.entrywise(
        [own], [Part(own.size, np.flatnonzero(inside.reshape(-1)), groups[inside], None)], groups.shape
    )
    total = builder.dense(wide, np.ones((groups.shape[1], 1)), None, (*own.shape[:2], *found.spatial))
    part = Part(total.size, None, None, 1 / counts)
    return builder.entrywise([total], [part], total.shape, products=2)
