"""DepthToSpace, SpaceToDepth and Tile of computed values: blocks of entries change places, or are repeated."""

from math import prod

from .builder import Builder, Value, refusal
from .proto import OnnxNode
from .shapes import MAX_ELEMENTS
from .spread import numbers, taken, unbatched


def depth_to_space(builder: Builder, node: OnnxNode) -> None:
    value, block = _image(builder, node)
    _, depth, height, width = value.dims
    channels = depth // block**2
    if channels * block**2 != depth:
        raise refusal(node, f"divides {depth} channels among blocks of {block}", "Export the network again")
    if node.attrs.get("mode", "DCR") == "CRD":
        parts, order = (channels, block, block, height, width), (0, 3, 1, 4, 2)
    else:
        parts, order = (block, block, channels, height, width), (2, 3, 0, 4, 1)
    turned = builder.emit(node, "Transpose", [builder.reshape(node, value.name, parts)], attrs={"perm": order})
    builder.bind(node, turned, (1, channels, height * block, width * block))


def space_to_depth(builder: Builder, node: OnnxNode) -> None:
    value, block = _image(builder, node)
    _, channels, height, width = value.dims
    if height % block or width % block:
        raise refusal(node, f"cuts {height} x {width} into blocks of {block}", "Export the network again")
    parts = (channels, height // block, block, width // block, block)
    turned = builder.emit(
        node, "Transpose", [builder.reshape(node, value.name, parts)], attrs={"perm": (2, 4, 0, 1, 3)}
    )
    builder.bind(node, turned, (1, channels * block**2, height // block, width // block))


def tile(builder: Builder, node: OnnxNode) -> None:
    value, repeats = builder.value(node.inputs[0]), numbers(builder, node, 1, "repeats")
    if repeats is None or len(repeats) != len(value.dims) or min(repeats, default=1) < 1:
        raise refusal(node, f"repeats {list(value.dims)} by {repeats}", "Export the network again")
    dims = tuple(n * count for n, count in zip(value.dims, repeats, strict=True))
    if prod(dims) > MAX_ELEMENTS:
        raise refusal(node, f"gives shape {list(dims)}, too many numbers", "Check the export")
    axes = [axis for axis, count in enumerate(repeats) if count > 1]
    name, lead = unbatched(builder, node, value, axes)
    for axis in axes:
        name = taken(builder, node, name, axis - lead, list(range(value.dims[axis])) * repeats[axis])
    builder.bind(node, name, dims)


def _image(builder: Builder, node: OnnxNode) -> tuple[Value, int]:
    value, block = builder.value(node.inputs[0]), node.attrs["blocksize"]
    if len(value.dims) != 4 or value.dims[0] != 1 or block < 1:
        raise refusal(
            node, f"moves blocks of {block} in {list(value.dims)}; supported: [batch,C,H,W]", "Export the network again"
        )
    return value, block
