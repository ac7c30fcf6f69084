"""Transpose, Slice, Gather, Split, Concat, Expand and Pad of computed values: entries go elsewhere."""

from math import prod

import numpy as np

from .activation import scaled, shifted
from .axes import cut
from .builder import Builder, broadcast, refusal
from .proto import OnnxNode
from .shapes import MAX_ELEMENTS, Shape
from .spread import MOST_INDICES, check_taken, expanded, numbers, padded, positive_axis, taken, unbatched


def transpose(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    rank = len(value.dims)
    perm = tuple(node.attrs.get("perm", range(rank)[::-1]))
    if sorted(perm) != list(range(rank)):
        raise refusal(node, f"puts {rank} axes into the order {list(perm)}", "Export the network again")
    name, lead = unbatched(builder, node, value, () if perm[:1] == (0,) else (0,))
    order = tuple(axis - lead for axis in perm[lead:])
    if order != tuple(range(len(order))):
        name = builder.emit(node, "Transpose", [name], attrs={"perm": order})
    builder.bind(node, name, tuple(value.dims[axis] for axis in perm))


def slice_(builder: Builder, node: OnnxNode) -> None:
    """Ranges along axes; attributes before opset 10, inputs since."""
    value = builder.value(node.inputs[0])
    rank = len(value.dims)
    starts, ends, axes, steps = (numbers(builder, node, i, key) for i, key in enumerate(_SLICE, 1))
    if starts is None or ends is None or len(starts) != len(ends):
        raise refusal(node, "has no ranges", "Export the network again")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(axes) == len(steps) == len(starts) or 0 in steps:
        raise refusal(node, "has ranges that do not fit its axes", "Export the network again")
    dims, extents = list(value.dims), builder.extents(value)
    ranges = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = positive_axis(node, axis, rank)
        ranges[axis] = cut(start, end, step, extents[axis])
    ranges = {axis: found for axis, found in ranges.items() if found != range(extents[axis])}
    name, lead = unbatched(builder, node, value, list(ranges))
    for axis, found in ranges.items():
        name = taken(builder, node, name, axis - lead, found)
        dims[axis] = len(found)
    builder.bind(node, name, tuple(dims))


_SLICE = ("starts", "ends", "axes", "steps")


def gather(builder: Builder, node: OnnxNode) -> None:
    value, indices = builder.value(node.inputs[0]), builder.const(node.inputs[1])
    if indices is None:
        raise refusal(node, "takes its indices from a computed value; supported: constants", "Export constant indices")
    axis = positive_axis(node, node.attrs.get("axis", 0), len(value.dims))
    extent = value.dims[axis]
    if indices.dtype.kind != "i" or (indices < -extent).any() or (indices >= extent).any():
        raise refusal(node, f"takes entries that an axis of {extent} does not have", "Export the network again")
    name, lead = unbatched(builder, node, value, (axis,))
    name = taken(builder, node, name, axis - lead, (indices % extent).ravel())
    builder.bind(node, name, (*value.dims[:axis], *indices.shape, *value.dims[axis + 1 :]))


def split(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    axis = positive_axis(node, node.attrs.get("axis", 0), len(value.dims))
    extent, count = value.dims[axis], len(node.outputs)
    sizes = numbers(builder, node, 1, "split")
    if sizes is None:
        chunk = -(-extent // count)
        sizes = [min(chunk, extent - i * chunk) for i in range(count)]
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 1:
        raise refusal(node, f"splits an axis of {extent} into {sizes}", "Export the network again")
    name, lead = unbatched(builder, node, value, (axis,))
    first = 0
    for output, n in zip(node.outputs, sizes, strict=True):
        part = OnnxNode(node.op, node.name, node.inputs, (output,))
        if output:
            cut = taken(builder, part, name, axis - lead, range(first, first + n))
            builder.bind(part, cut, (*value.dims[:axis], n, *value.dims[axis + 1 :]))
        first += n


def concat(builder: Builder, node: OnnxNode) -> None:
    """Computed values and constants side by side: each padded with zeros to the whole, and all added."""
    arrays = [builder.const(name) for name in node.inputs]
    shapes = [builder.value(n).dims if a is None else a.shape for n, a in zip(node.inputs, arrays, strict=True)]
    axis = positive_axis(node, node.attrs["axis"], len(shapes[0]))
    if any(len(s) != len(shapes[0]) or _without(s, axis) != _without(shapes[0], axis) for s in shapes):
        raise refusal(node, f"joins shapes {[list(s) for s in shapes]}, which do not fit", "Export the network again")
    total = sum(shape[axis] for shape in shapes)
    dims = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
    if prod(dims) > MAX_ELEMENTS:
        raise refusal(node, f"gives shape {list(dims)}, too many numbers", "Check the export")
    moved = any(array is not None and array.any() for array in arrays)
    builder.room(prod(dims) if moved else 0)
    constant, first, joined = np.zeros(dims if moved else 0, builder.dtype), 0, ""
    for name, array, shape in zip(node.inputs, arrays, shapes, strict=True):
        after = total - first - shape[axis]
        if array is not None and moved:
            constant[(slice(None),) * axis + (slice(first, first + shape[axis]),)] = array
        elif array is None:
            part, lead = unbatched(builder, node, builder.value(name), (axis,))
            part = padded(builder, node, part, axis - lead, first, after)
            joined = builder.emit(node, "Add", [joined, part]) if joined else part
        first += shape[axis]
    if moved:
        shift = builder.param(node, f"{node.outputs[0]}.constant", constant.reshape(builder.shapes[joined]))
        joined = builder.emit(node, "Add", [joined], [shift])
    builder.bind(node, joined, dims)


def where(builder: Builder, node: OnnxNode) -> None:
    """By a constant condition: each operand with zeros where the other is taken, and both added."""
    condition = builder.const(node.inputs[0])
    if condition is None:
        raise refusal(node, "chooses by a computed value; supported: by a constant", "Write it with Max, Min or Clip")
    if condition.dtype != np.bool_:
        raise refusal(node, f"chooses by {condition.dtype}; supported: by what is true or false", "Check the export")
    names = node.inputs[1:]
    shapes = [builder.value(n).dims if (a := builder.const(n)) is None else a.shape for n in names]
    dims = broadcast(node, condition.shape, *shapes)
    if prod(dims) > MAX_ELEMENTS:
        raise refusal(node, f"gives shape {list(dims)}, too many numbers", "Check the export")
    builder.room(prod(dims), np.dtype(np.float64).itemsize)
    chosen, constant, joined = np.broadcast_to(condition, dims), np.zeros(dims), ""
    for name, mask in zip(names, (chosen, ~chosen), strict=True):
        array = builder.const(name)
        if array is not None:
            constant = np.where(mask, array, constant)
        else:
            part = expanded(builder, node, builder.value(name), dims)
            part = scaled(builder, node, part, mask.reshape(builder.shapes[part]))
            joined = builder.emit(node, "Add", [joined, part]) if joined else part
    builder.bind(node, shifted(builder, node, joined, constant.reshape(builder.shapes[joined])), dims)


def expand(builder: Builder, node: OnnxNode) -> None:
    value, target = builder.value(node.inputs[0]), numbers(builder, node, 1, "shape")
    if target is None or min(target, default=1) < 1:
        raise refusal(node, f"expands {list(value.dims)} to {target}", "Export the network again")
    dims = builder.of_one(node, broadcast(node, builder.extents(value), tuple(target)))
    builder.bind(node, expanded(builder, node, value, dims), dims)


def pad(builder: Builder, node: OnnxNode) -> None:
    """Constant, reflected or repeated borders; negative numbers cut."""
    value, rank = builder.value(node.inputs[0]), len(builder.value(node.inputs[0]).dims)
    pads, mode = numbers(builder, node, 1, "pads"), node.attrs.get("mode", "constant")
    axes = numbers(builder, node, 3, "axes")
    axes = list(range(rank)) if axes is None else [positive_axis(node, axis, rank) for axis in axes]
    if pads is None or len(pads) != 2 * len(axes) or mode not in ("constant", "reflect", "edge", "wrap"):
        raise refusal(node, f"pads {list(value.dims)} by {pads} in mode {mode!r}", "Use constant pads")
    ends = {a: (b, e) for a, b, e in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True) if (b, e) != (0, 0)}
    fill = _fill(builder, node) if mode == "constant" else 0.0
    name, lead = unbatched(builder, node, value, list(ends))
    dims, inner = list(value.dims), [slice(None)] * rank
    for axis, (before, after) in ends.items():
        n = dims[axis]
        if (
            max(before, after) > (MAX_ELEMENTS if mode == "constant" else MOST_INDICES)
            or n + min(0, before) + min(0, after) < 1
        ):
            raise refusal(node, f"pads an axis of {n} by {before} and {after}", "Check the export")
        if mode == "constant":
            name = taken(builder, node, name, axis - lead, range(max(0, -before), n + min(0, after)))
            name = padded(builder, node, name, axis - lead, max(0, before), max(0, after))
            inner[axis] = slice(max(0, before), n + before + min(0, after))
        else:
            check_taken(builder, node, n + before + after)
            kept = range(max(0, -before), n + min(0, after))
            places = _border(node, mode, len(kept), max(0, before), max(0, after))
            name = taken(builder, node, name, axis - lead, [kept[place] for place in places])
        dims[axis] = n + before + after
    if fill and ends:
        builder.room(prod(dims))
        border = np.full(tuple(dims), fill, builder.dtype)
        border[tuple(inner)] = 0
        shift = builder.param(node, f"{node.outputs[0]}.border", border.reshape(builder.shapes[name]))
        name = builder.emit(node, "Add", [name], [shift])
    builder.bind(node, name, tuple(dims))


def _border(node: OnnxNode, mode: str, n: int, before: int, after: int) -> list[int]:
    places = range(-before, n + after)
    if mode == "edge":
        return [min(max(i, 0), n - 1) for i in places]
    if mode == "wrap":
        return [i % n for i in places]
    if max(before, after) >= n:
        raise refusal(node, f"reflects {max(before, after)} of {n} entries", "Use smaller pads")
    return [-i if i < 0 else 2 * (n - 1) - i if i >= n else i for i in places]


def _fill(builder: Builder, node: OnnxNode) -> float:
    if len(node.inputs) > 2 and node.inputs[2]:
        array = builder.const(node.inputs[2])
        if array is None or array.size != 1:
            raise refusal(node, "takes its border from a computed value", "Use a constant border")
        return float(array.ravel()[0])
    return float(node.attrs.get("value", 0.0))


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]
