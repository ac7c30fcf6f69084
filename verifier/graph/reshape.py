"""Flatten, Reshape, Squeeze and Unsqueeze: the numbers stay, the axes change."""

from math import prod

from .axes import axes_of, reshaped, unsqueezed
from .builder import Builder, refusal
from .proto import OnnxNode


def flatten(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    axis = node.attrs.get("axis", 1)
    axis = axis + len(value.dims) if axis < 0 else axis
    if builder.dynamic and axis == 0:
        raise refusal(node, "flattens the batch axis too", "Flatten from axis 1")
    builder.bind(node, value.name, (prod(value.dims[:axis]), prod(value.dims[axis:])))


def reshape(builder: Builder, node: OnnxNode) -> None:
    value, target = builder.value(node.inputs[0]), builder.const(node.inputs[1])
    if target is None:
        raise refusal(
            node,
            "takes its target shape from a computed value; supported: a constant one",
            "Export it with a constant shape",
        )
    extents = reshaped(node, builder.extents(value), target.ravel().tolist())
    builder.bind(node, value.name, builder.of_one(node, extents))


def squeeze(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    axes = axes_of(node, _with_axes(builder, node), len(value.dims))
    if axes is None and builder.batch == 0 and 1 in value.dims[1:]:
        raise refusal(node, "drops every axis of size 1, in a batch of one the batch too", "Name the axes")
    if axes is None:
        axes = tuple(i for i, n in enumerate(value.dims) if n == 1 and not (builder.dynamic and i == 0))
    if any(value.dims[axis] != 1 for axis in axes) or (builder.dynamic and 0 in axes):
        raise refusal(
            node,
            f"drops axes {list(axes)} of {list(value.dims)}; supported: axes of size 1 that are not the batch",
            "Name the axes",
        )
    builder.bind(node, value.name, tuple(n for i, n in enumerate(value.dims) if i not in axes))


def unsqueeze(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    arrays = _with_axes(builder, node)
    count = arrays[1].size if len(arrays) > 1 else len(node.attrs.get("axes", ()))
    axes = axes_of(node, arrays, len(value.dims) + count) or ()
    if builder.dynamic and 0 in axes:
        raise refusal(node, "puts an axis before the batch", "Keep the batch as the first axis")
    builder.bind(node, value.name, unsqueezed(value.dims, axes))


def _with_axes(builder: Builder, node: OnnxNode) -> list:
    """The constant second input, where there is one, in the place that `axes_of` looks for it."""
    if len(node.inputs) < 2 or not node.inputs[1]:
        return []
    axes = builder.const(node.inputs[1])
    if axes is None:
        raise refusal(node, "takes its axes from a computed value; supported: constant ones", "Name the axes")
    return [axes, axes]
