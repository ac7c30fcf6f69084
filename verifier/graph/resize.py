"""Upsample and Resize of computed values by the nearest entry.

Which entry is nearest is float32 arithmetic, as runtimes do it: 0.7 of 10 rows are 7.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .builder import Builder, refusal
from .proto import OnnxNode
from .shapes import Shape
from .spread import MOST_INDICES, numbers, positive_axis, taken, unbatched

_F = np.float32
_HALF = _F(0.5)
_TIE = 1e-6  # onnxruntime takes a place so near to the middle of two entries for the middle


class _Axis(NamedTuple):
    """n entries become `new`, by a scale."""

    n: int
    new: int
    scale: np.float32


def resize(builder: Builder, node: OnnxNode) -> None:
    """A scale, or a size, for every axis or for those that `axes` names."""
    value = builder.value(node.inputs[0])
    mode = node.attrs.get("mode", "nearest")
    old = node.op == "Upsample" or len(node.inputs) < 3  # Resize before opset 11 takes scales as its second input
    if mode != "nearest":
        raise refusal(node, f"has mode {mode!r}; supported: nearest", "Use the nearest entry, or ConvTranspose")
    if node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise refusal(node, "keeps proportions", "Export a scale for every axis")
    scales = _floats(builder, node, 1 if old else 2, "scales")
    sizes = None if old else numbers(builder, node, 3, "sizes")
    resized = _axes(node, builder.extents(value), scales, sizes)
    name = value.name
    if any(axis.n != axis.new for axis in resized):
        changed = [place for place, axis in enumerate(resized) if axis.scale != 1]
        name, lead = unbatched(builder, node, value, changed)
        for place in changed:
            name = taken(builder, node, name, place - lead, _nearest(node, resized[place], old))
    builder.bind(node, name, builder.of_one(node, tuple(axis.new for axis in resized)))


def _axes(node: OnnxNode, dims: Shape, scales: list[float] | None, sizes: list[int] | None) -> list[_Axis]:
    named = [positive_axis(node, axis, len(dims)) for axis in node.attrs.get("axes", range(len(dims)))]
    given = sizes or scales
    if given is None or len(given) != len(named) or len(set(named)) != len(named) or (sizes and scales):
        raise refusal(node, f"resizes {list(dims)} by scales {scales} to {sizes}", "Export constant scales")
    resized = [_Axis(n, n, _F(1)) for n in dims]
    for axis, wanted in zip(named, given, strict=True):
        n = dims[axis]
        if not 0 < wanted < 2**20:
            raise refusal(node, f"has scales {scales} and sizes {sizes}", "Check the export")
        scale = _F(wanted) / _F(n) if sizes else _F(wanted)
        resized[axis] = _Axis(n, int(wanted) if sizes else int(scale * _F(n)), scale)
        if not 0 < resized[axis].new <= MOST_INDICES:
            raise refusal(node, f"makes {resized[axis].new} entries of {n}", "Check the export")
    return resized


def _nearest(node: OnnxNode, axis: _Axis, old: bool) -> list[int]:
    """The entry that each output is taken from."""
    mode = "asymmetric" if old else node.attrs.get("coordinate_transformation_mode", "half_pixel")
    # onnxruntime's own choice in older opsets
    rounding = ("ceil" if axis.scale < 1 else "floor") if old else node.attrs.get("nearest_mode", "round_prefer_floor")
    if mode not in _PLACES:
        raise refusal(node, f"has coordinates {mode!r}", "Export with asymmetric or half_pixel coordinates")
    if rounding not in _ROUNDINGS:
        raise refusal(node, f"rounds by {rounding!r}", "Export with floor")
    places = _PLACES[mode](np.arange(axis.new, dtype=_F), axis).astype(_F)
    return np.clip(_ROUNDINGS[rounding](places), 0, axis.n - 1).astype(int).tolist()


def _pytorch(index: np.ndarray, axis: _Axis) -> np.ndarray:
    return (index + _HALF) / axis.scale - _HALF if axis.new > 1 else np.zeros_like(index)


def _corners(index: np.ndarray, axis: _Axis) -> np.ndarray:
    return index * _F(axis.n - 1) / _F(axis.new - 1) if axis.new > 1 else np.zeros_like(index)


def _symmetric(index: np.ndarray, axis: _Axis) -> np.ndarray:
    adjustment = _F(axis.new) / (axis.scale * _F(axis.n))
    offset = _F(axis.n) / _F(2) * (_F(1) - adjustment)
    return float(offset) + (index.astype(np.float64) + 0.5) / float(axis.scale) - 0.5


_PLACES: dict[str, Callable[[np.ndarray, _Axis], np.ndarray]] = {
    "align_corners": _corners,
    "asymmetric": lambda index, axis: index / axis.scale,
    "half_pixel": lambda index, axis: (index + _HALF) / axis.scale - _HALF,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": _pytorch,
    "tf_half_pixel_for_nn": lambda index, axis: (index + _HALF) / axis.scale,
}


def _rounded(places: np.ndarray, up: bool) -> np.ndarray:
    below = np.floor(places)
    beyond = places.astype(np.float64) - below - 0.5
    return below + np.where(np.abs(beyond) < _TIE, up, beyond > 0)


_ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda places: _rounded(places, True),
    "round_prefer_floor": lambda places: _rounded(places, False),
}


def _floats(builder: Builder, node: OnnxNode, place: int, key: str) -> list[float] | None:
    if len(node.inputs) > place and node.inputs[place]:
        array = builder.const(node.inputs[place])
        if array is None or array.dtype.kind != "f":
            raise refusal(node, f"takes {key} from a computed value; supported: constants", "Export constant scales")
        return array.ravel().astype(np.float64).tolist() or None
    return list(node.attrs[key]) if key in node.attrs else None
