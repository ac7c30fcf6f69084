"""What ONNX says of axes: those that a node names, and the shapes and ranges that follow."""

from math import prod

import numpy as np

from ..errors import InputError
from .builder import refusal
from .proto import OnnxNode
from .shapes import Shape


def axes_of(node: OnnxNode, arrays: list[np.ndarray], rank: int) -> tuple[int, ...] | None:
    """The `axes` of Squeeze and Unsqueeze, an attribute before opset 13 and an input since; counted from the front."""
    axes = arrays[1].tolist() if len(arrays) > 1 else node.attrs.get("axes")
    if axes is None:
        return None
    if len(arrays) > 1 and arrays[1].dtype.kind != "i":
        raise InputError(f"operator {node.op} (node {node.name!r}) names axes that are no integers. Export it again.")
    axes = tuple(sorted(axis + rank if axis < 0 else axis for axis in np.ravel(axes).tolist()))
    if len(set(axes)) != len(axes) or any(not 0 <= axis < rank for axis in axes):
        raise InputError(f"operator {node.op} (node {node.name!r}) names axes outside {rank}. Export it again.")
    return axes


def unsqueezed(dims: Shape, axes: tuple[int, ...]) -> Shape:
    rest = iter(dims)
    return tuple(1 if axis in axes else next(rest) for axis in range(len(dims) + len(axes)))


def reshaped(node: OnnxNode, dims: Shape, target: list[int]) -> Shape:
    """ONNX Reshape: 0 copies the axis (unless `allowzero`), one -1 takes what is left."""
    if not node.attrs.get("allowzero", 0):
        if any(n == 0 and i >= len(dims) for i, n in enumerate(target)):
            raise refusal(node, f"reshapes {list(dims)} to {target}", "Export the network again")
        target = [dims[i] if n == 0 else n for i, n in enumerate(target)]
    known = prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known > 0 and prod(dims) % known == 0:
        target = [prod(dims) // known if n == -1 else n for n in target]
    if any(n < 0 for n in target) or prod(target) != prod(dims):
        raise refusal(
            node,
            f"reshapes {list(dims)} to {target}, another number of entries",
            "Export the network again, with a dynamic batch axis",
        )
    return tuple(target)


def cut(start: int, end: int, step: int, extent: int) -> range:
    """Which entries of an axis an ONNX Slice takes. Raises `ValueError` for a step of 0."""
    start, end = (n + extent if n < 0 else n for n in (start, end))
    if step < 0:  # from there backwards, past the first at the end
        return range(min(max(start, 0), extent - 1), min(max(end, -1), extent - 1), step)
    return range(min(max(start, 0), extent), min(max(end, 0), extent), step)
