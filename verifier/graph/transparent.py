"""Operators that pass their input on unchanged."""

from onnx import TensorProto

from .builder import Builder, refusal
from .proto import OnnxNode

_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


def identity(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    builder.bind(node, value.name, value.dims)


def cast(builder: Builder, node: OnnxNode) -> None:
    """To the type that the value has already."""
    if node.attrs["to"] != _TYPES[builder.dtype.name]:
        raise refusal(
            node,
            f"converts a computed value from {builder.dtype} to another type",
            f"Export all of it in {builder.dtype}",
        )
    identity(builder, node)


def dropout(builder: Builder, node: OnnxNode) -> None:
    """Inference: the input itself. A network exported in training mode would drop values at random."""
    training = builder.const(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    computed = len(node.inputs) > 2 and bool(node.inputs[2]) and training is None
    if computed or (training is not None and bool(training.any())):
        raise refusal(node, "is in training mode", "Call model.eval() before exporting")
    identity(builder, node)
