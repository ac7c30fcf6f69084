"""A last Softmax, LogSoftmax or ArgMax, which the graph leaves out: it ends at the logits, and says what followed.

All three keep the order of the logits, in real arithmetic; which properties can be read on them `spec.logits` says.
"""

from math import prod

import onnx
from onnx import TensorProto

from ..errors import InputError
from .builder import Builder, refusal
from .proto import OnnxNode

PROBABILITIES = ("LogSoftmax", "Softmax")
ENDINGS = ("ArgMax", *PROBABILITIES)
_MOVING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")  # every number stays, in the same order
_INDEX_TYPES = (TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT, TensorProto.DOUBLE)


def endings(live: list[onnx.NodeProto], outputs: tuple[str, ...]) -> list[onnx.NodeProto]:
    """Those of `live` that end the network, last first: none, a Softmax or LogSoftmax, an ArgMax, or both kinds.

    A network of several outputs has none.
    """
    producers = {name: node for node in live for name in node.output}
    found: list[onnx.NodeProto] = []
    if len(outputs) != 1:
        return found
    (output,) = outputs
    while output in producers:
        node = producers[output]
        standard = node.domain in ("", "ai.onnx")
        if standard and node.op_type in PROBABILITIES:
            return [*found, node]
        if standard and node.op_type == "ArgMax" and not found:
            found.append(node)
        elif not standard or node.op_type not in _MOVING or not _keeps_index(node, found):
            break
        output = node.input[0] if node.input else ""
    return found


def end(builder: Builder, node: OnnxNode, opset: int) -> None:
    """Reads a node of `endings` as its input. Raises `UnsupportedError` where it does not go over all outputs."""
    value = builder.value(node.inputs[0])
    whole = node.op != "ArgMax" and opset < 13  # then Softmax takes the axis and all after it together
    axis = node.attrs.get("axis", 0 if node.op == "ArgMax" else 1 if whole else -1)
    if not -len(value.dims) <= axis < len(value.dims):
        raise InputError(
            f"operator {node.op} (node {node.name!r}) names axis {axis} of {list(value.dims)}. Export it again."
        )
    axis %= len(value.dims)
    taken = prod(value.dims[axis:]) if whole else value.dims[axis]
    if taken != prod(value.dims) or (builder.dynamic and axis == 0):
        raise refusal(
            node,
            f"goes over axis {axis} of {list(value.dims)}; supported: over all outputs of an image",
            "Export the logits: leave it off the end of the network",
        )
    builder.bind(node, value.name, value.dims)


def _keeps_index(node: onnx.NodeProto, found: list[onnx.NodeProto]) -> bool:
    """Behind an ArgMax, which is not yet `found`, a Cast may not lose the index."""
    if node.op_type != "Cast" or found:
        return True
    return any(attribute.name == "to" and attribute.i in _INDEX_TYPES for attribute in node.attribute)
