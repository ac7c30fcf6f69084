"""Operators that move entries: each is written once, for arrays. Of a constant it moves the numbers, of a variable the
places of its entries, from which a step is made."""

import math
from collections.abc import Callable

import numpy as np

from .builder import Builder, Node, Value, Variable, constant, numbers, variable, whole
from .rounding import MOST_ENTRIES
from .steps import Array, Part

Inputs = list[Value | None]
Move = Callable[[Node, Array, Inputs], Array]


def apply_move(move: Move, node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    first = inputs[0] if inputs else None
    if isinstance(first, Variable):
        return [builder.moved(first, _tried(move, node, places(first), inputs))]
    return [_tried(move, node, constant(node, first, "the input"), inputs)]


def places(value: Variable) -> Array:
    return np.arange(value.size).reshape(value.shape)


def _tried(move: Move, node: Node, array: Array, inputs: Inputs) -> Array:
    try:
        return move(node, array, inputs)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise node.refuse(f"it does not fit its input {list(array.shape)}: {str(error)[:200]}") from None


def axes_of(node: Node, inputs: Inputs, name: str = "axes", place: int = 1) -> list[int] | None:
    """From an input in later versions, from an attribute in earlier ones."""
    if len(inputs) > place and inputs[place] is not None:
        return whole(node, inputs[place], name)
    found = node.get(name, None)
    return None if found is None else [int(axis) for axis in found]


def identity(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only()
    return array


def dropout(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("ratio", "seed")
    if len(inputs) > 2 and inputs[2] is not None and constant(node, inputs[2], "training_mode").any():
        raise node.refuse("training_mode is not covered.")
    return array


def flatten(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("axis")
    axis = node.get("axis", 1)
    axis = axis + array.ndim if axis < 0 else axis
    if not 0 <= axis <= array.ndim:
        raise node.refuse(f"axis {axis} of {array.ndim}.")
    return array.reshape(math.prod(array.shape[:axis]), -1)


def reshape(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("allowzero")
    wanted = whole(node, inputs[1] if len(inputs) > 1 else None, "the shape")
    if not node.get("allowzero", 0):
        wanted = [array.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    return array.reshape(wanted)


def transpose(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("perm")
    return array.transpose(node.get("perm", None))


def squeeze(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("axes")
    axes = axes_of(node, inputs)
    return array.squeeze(None if axes is None else tuple(axes))


def unsqueeze(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("axes")
    axes = axes_of(node, inputs)
    if axes is None:
        raise node.refuse("it states no axes.")
    return np.expand_dims(array, tuple(axes))


def expand(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only()
    wanted = np.broadcast_shapes(array.shape, tuple(whole(node, inputs[1], "the shape")))
    if math.prod(wanted) > MOST_ENTRIES:
        raise node.refuse(f"it makes {math.prod(wanted)} entries.")
    return np.ascontiguousarray(np.broadcast_to(array, wanted))


def slice_(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("starts", "ends", "axes")
    given = [axes_of(node, inputs, name, place) for place, name in enumerate(("starts", "ends", "axes", "steps"), 1)]
    starts, ends, axes, steps = given
    if starts is None or ends is None:
        raise node.refuse("it states no starts or no ends.")
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    taken = [slice(None)] * array.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0 and end < -array.shape[axis]:
            taken[axis] = slice(start, None, step)  # down to the first
        else:
            taken[axis] = slice(start, end, step)
    return array[tuple(taken)]


def gather(node: Node, array: Array, inputs: Inputs) -> Array:
    node.only("axis")
    chosen = constant(node, inputs[1] if len(inputs) > 1 else None, "the indices")
    if not np.issubdtype(chosen.dtype, np.integer) or chosen.size * array.size > MOST_ENTRIES * 64:
        raise node.refuse("the indices must be whole numbers, not too many.")
    return np.take(array, chosen, axis=node.get("axis", 0))


MOVES: dict[str, Move] = {
    "Dropout": dropout,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Identity": identity,
    "Reshape": reshape,
    "Slice": slice_,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}


def split(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("axis", "split", "num_outputs")
    value = variable(node, inputs[0])
    axis, sizes = node.get("axis", 0), axes_of(node, inputs, "split")
    count = node.outputs
    if not -len(value.shape) <= axis < len(value.shape):
        raise node.refuse(f"axis {axis} of {len(value.shape)}.")
    length = value.shape[axis]
    if sizes is None:
        each = -(-length // count)
        sizes = [each] * (count - 1) + [length - each * (count - 1)]
    if len(sizes) != count or sum(sizes) != length or min(sizes) < 1:
        raise node.refuse(f"parts of {sizes[:8]} of {length} entries.")
    ends = np.cumsum(sizes)[:-1]
    return [builder.moved(value, part) for part in np.split(places(value), ends, axis=axis)]


def concat(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("axis")
    axis = node.get("axis", 0)
    present = [value for value in inputs if value is not None]
    arrays = [places(value) if isinstance(value, Variable) else value for value in present]
    try:
        if not any(isinstance(value, Variable) for value in present):
            return [np.concatenate(arrays, axis)]
        marks = [np.full(array.shape, number) for number, array in enumerate(arrays)]
        from_, place = np.concatenate(marks, axis), np.concatenate(
            [np.arange(array.size).reshape(array.shape) for array in arrays], axis
        )  # fmt: skip
    except ValueError as error:
        raise node.refuse(str(error)[:200]) from None
    values, parts, bias = [], [], np.zeros(from_.size)
    for number, value in enumerate(present):
        here = np.flatnonzero(from_.reshape(-1) == number)
        if isinstance(value, Variable):
            values.append(value)
            parts.append(Part(value.size, here, place.reshape(-1)[here], None))
        else:
            bias[here] = numbers(node, builder, value, "a part").reshape(-1)[place.reshape(-1)[here]]
    return [builder.entrywise(values, parts, from_.shape, bias)]


def pad(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("mode", "pads", "value")
    value = variable(node, inputs[0])
    pads, filled = axes_of(node, inputs, "pads"), float(node.get("value", 0.0))
    if len(inputs) > 2 and inputs[2] is not None:
        filled = float(numbers(node, builder, inputs[2], "the value").reshape(-1)[0])
    rank = len(value.shape)
    mode = node.get("mode", "constant")
    if pads is None or len(pads) != 2 * rank or len(inputs) > 3 or min(pads) < 0 or mode != "constant":
        raise node.refuse("constant padding of every axis, by 0 or more entries, is covered.")
    widths = list(zip(pads[:rank], pads[rank:], strict=True))
    if math.prod(size + a + b for size, (a, b) in zip(value.shape, widths, strict=True)) > MOST_ENTRIES:
        raise node.refuse("it makes too many entries.")
    wide = np.pad(places(value), widths, constant_values=-1)
    flat = wide.reshape(-1)
    here = np.flatnonzero(flat >= 0)
    bias = np.where(flat < 0, filled, 0.0)
    return [builder.entrywise([value], [Part(value.size, here, flat[here], None)], wide.shape, bias)]
