"""Upsample and Resize of computed values by the nearest entry."""

from math import ceil, floor

import numpy as np

from .builder import Builder, refusal
from .proto import OnnxNode
from .spread import MOST_INDICES, numbers, taken, unbatched


def resize(builder: Builder, node: OnnxNode) -> None:
    """A scale, or a size, for every axis."""
    value = builder.value(node.inputs[0])
    mode = node.attrs.get("mode", "nearest")
    old = node.op == "Upsample" or len(node.inputs) < 3  # Resize before opset 11 takes scales as its second input
    if mode != "nearest":
        raise refusal(node, f"has mode {mode!r}; supported: nearest", "Use the nearest entry, or ConvTranspose")
    scales = _floats(builder, node, 1 if old else 2, "scales")
    sizes = None if old else numbers(builder, node, 3, "sizes")
    if "axes" in node.attrs or node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise refusal(node, "resizes some axes only, or keeps proportions", "Export a scale for every axis")
    if sizes is None and scales is not None and len(scales) == len(value.dims):
        if not all(0 < scale < 2**20 for scale in scales):
            raise refusal(node, f"has scales {scales}", "Check the export")
        sizes = [floor(n * scale) for n, scale in zip(value.dims, scales, strict=True)]
    if sizes is None or len(sizes) != len(value.dims) or min(sizes) < 1:
        raise refusal(node, f"resizes {list(value.dims)} by scales {scales} to {sizes}", "Export constant scales")
    if scales is None or len(scales) != len(sizes):
        scales = [new / n for new, n in zip(sizes, value.dims, strict=True)]
    changed = [axis for axis, (n, new) in enumerate(zip(value.dims, sizes, strict=True)) if n != new]
    name, lead = unbatched(builder, node, value, changed)
    for axis in changed:
        if sizes[axis] > MOST_INDICES:
            raise refusal(node, f"gives an axis of {sizes[axis]}", "Check the export")
        nearest = [_nearest(node, i, scales[axis], value.dims[axis], sizes[axis], old) for i in range(sizes[axis])]
        name = taken(builder, node, name, axis - lead, nearest)
    builder.bind(node, name, tuple(sizes))


def _nearest(node: OnnxNode, index: int, scale: float, n: int, new: int, old: bool) -> int:
    """The entry that output `index` of `new` is taken from, of n."""
    mode = "asymmetric" if old else node.attrs.get("coordinate_transformation_mode", "half_pixel")
    # onnxruntime's own choice in older opsets
    rounding = ("ceil" if scale < 1 else "floor") if old else node.attrs.get("nearest_mode", "round_prefer_floor")
    if mode in ("half_pixel", "pytorch_half_pixel"):
        place = (index + 0.5) / scale - 0.5 if new > 1 or mode == "half_pixel" else 0.0
    elif mode == "asymmetric":
        place = index / scale
    elif mode == "align_corners":
        place = index * (n - 1) / (new - 1) if new > 1 else 0.0
    else:
        raise refusal(node, f"has coordinates {mode!r}", "Export with asymmetric or half_pixel coordinates")
    rounded = {
        "floor": floor(place),
        "ceil": ceil(place),
        "round_prefer_floor": ceil(place - 0.5),
        "round_prefer_ceil": floor(place + 0.5),
    }.get(rounding)
    if rounded is None:
        raise refusal(node, f"rounds by {rounding!r}", "Export with floor")
    return min(max(rounded, 0), n - 1)


def _floats(builder: Builder, node: OnnxNode, place: int, key: str) -> list[float] | None:
    if len(node.inputs) > place and node.inputs[place]:
        array = builder.const(node.inputs[place])
        if array is None or array.dtype.kind != "f":
            raise refusal(node, f"takes {key} from a computed value; supported: constants", "Export constant scales")
        return array.ravel().astype(np.float64).tolist() or None
    return list(node.attrs[key]) if key in node.attrs else None
