"""Operators that pass their input on unchanged."""

from .builder import Builder, refusal
from .proto import OnnxNode


def identity(builder: Builder, node: OnnxNode) -> None:
    value = builder.value(node.inputs[0])
    builder.bind(node, value.name, value.dims)


def dropout(builder: Builder, node: OnnxNode) -> None:
    """Inference: the input itself. A network exported in training mode would drop values at random."""
    training = builder.const(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    computed = len(node.inputs) > 2 and bool(node.inputs[2]) and training is None
    if computed or (training is not None and bool(training.any())):
        raise refusal(node, "is in training mode", "Call model.eval() before exporting")
    identity(builder, node)
