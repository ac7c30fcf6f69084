"""Entries along axes: how a computed value is cut, repeated, padded and laid out, for the operators that do so."""

from collections.abc import Sequence

import numpy as np

from .builder import INDEX_BYTES, Builder, Value, refusal
from .proto import OnnxNode
from .shapes import Shape

MOST_INDICES = 2**20


def unbatched(builder: Builder, node: OnnxNode, value: Value, axes: Sequence[int]) -> tuple[str, int]:
    """The canonical value that has the file's axes from the second on, and 1; with all axes, and 0, if `axes` has 0.

    Raises `UnsupportedError` for a batch axis among `axes`.
    """
    if 0 not in axes and len(value.dims) > 1 and value.dims[0] == 1:
        return builder.reshape(node, value.name, value.dims[1:]), 1
    if builder.dynamic:
        raise refusal(node, "works across the batch axis", "Keep the batch as the first axis, and apart")
    return builder.reshape(node, value.name, value.dims), 0


def positive_axis(node: OnnxNode, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise refusal(node, f"names axis {axis} of {rank}", "Export the network again")
    return axis % rank


def check_taken(builder: Builder, node: OnnxNode, count: int) -> None:
    """Raises where so many entries along an axis are too many; to be asked before they are listed."""
    if count > MOST_INDICES:
        raise refusal(
            node, f"takes {count} entries along an axis; supported: at most {MOST_INDICES}", "Check the export"
        )
    builder.room(count, INDEX_BYTES)


def taken(builder: Builder, node: OnnxNode, name: str, axis: int, indices: Sequence[int] | np.ndarray) -> str:
    """Entries `indices` of a canonical value along one axis; the value itself where these are all, in order."""
    extent = builder.shapes[name][axis]
    if len(indices) == extent and np.array_equal(indices, np.arange(extent)):
        return name
    check_taken(builder, node, len(indices))
    entries = tuple(indices.tolist() if isinstance(indices, np.ndarray) else indices)
    return builder.emit(node, "Gather", [name], attrs={"axis": axis, "indices": entries})


def expanded(builder: Builder, node: OnnxNode, value: Value, dims: Shape) -> str:
    """A computed value repeated to the file's shape `dims`, as its canonical value."""
    if builder.dynamic and (len(dims) != len(value.dims) or dims[:1] != (1,)):
        raise refusal(
            node, f"repeats a value {list(value.dims)} to {list(dims)}, across the batch", "Keep the batch as it is"
        )
    spelled = (1,) * (len(dims) - len(value.dims)) + value.dims
    if dims == value.dims:
        return value.name
    name = builder.reshape(node, value.name, spelled)
    for axis, (have, want) in enumerate(zip(spelled, dims, strict=True)):
        if have != want:
            name = (
                taken(builder, node, name, axis, range(0)) if want < 1 else _repeated(builder, node, name, axis, want)
            )
    return builder.reshape(node, name, builder.without_batch(dims))


def _repeated(builder: Builder, node: OnnxNode, name: str, axis: int, count: int) -> str:
    if count > MOST_INDICES:
        raise refusal(node, f"repeats an entry {count} times; supported: at most {MOST_INDICES}", "Check the export")
    return taken(builder, node, name, axis, (0,) * count)


def padded(builder: Builder, node: OnnxNode, name: str, axis: int, before: int, after: int) -> str:
    """Zeros before and after a canonical value along one axis."""
    if (before, after) == (0, 0):
        return name
    rank = len(builder.shapes[name])
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = before, after
    return builder.emit(node, "Pad", [name], attrs={"pads": tuple(pads)})


def numbers(builder: Builder, node: OnnxNode, place: int, key: str) -> list[int] | None:
    """Integers from an input, or from the attribute that older opsets have in its place."""
    if len(node.inputs) > place and node.inputs[place]:
        array = builder.const(node.inputs[place])
        if array is None or array.dtype.kind != "i" or array.ndim > 1:
            raise refusal(node, f"takes {key} from a computed value; supported: constants", "Export constant shapes")
        return array.ravel().tolist()
    return list(node.attrs[key]) if key in node.attrs else None
