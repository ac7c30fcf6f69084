"""One function per ONNX operator on computed values: how it is written with the canonical ones."""

from collections.abc import Callable

import numpy as np

from ..errors import UnsupportedError
from .affine import batch_normalization, conv, gemm, matmul
from .arithmetic import add, div, mul, relu, sub
from .builder import Builder
from .fold import FOLDS, constant_value, fold, shape_of
from .proto import OnnxNode
from .reshape import flatten, reshape, squeeze, unsqueeze
from .transparent import dropout, identity

TRANSLATIONS: dict[str, Callable[[Builder, OnnxNode], None]] = {
    "Add": add,
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "Div": div,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "Identity": identity,
    "MatMul": matmul,
    "Mul": mul,
    "Relu": relu,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Sub": sub,
    "Unsqueeze": unsqueeze,
}

_ON_CONSTANTS = sorted({"Constant", "Shape", *FOLDS} - TRANSLATIONS.keys())
_PROBABILITIES = "Export the logits: leave it off the end of the network"
_RECTIFIER = "Train the network with ReLU"
_POOLING = "Train the network with a strided convolution in its place"
_REMEDIES = {
    "Softmax": _PROBABILITIES,
    "LogSoftmax": _PROBABILITIES,
    "ArgMax": _PROBABILITIES,
    "Sigmoid": f"At the end of a network, export the logits; inside one, {_RECTIFIER[0].lower()}{_RECTIFIER[1:]}",
    "Tanh": _RECTIFIER,
    "LeakyRelu": _RECTIFIER,
    "Elu": _RECTIFIER,
    "Gelu": _RECTIFIER,
    "MaxPool": _POOLING,
    "AveragePool": _POOLING,
    "GlobalAveragePool": _POOLING,
    "Pad": "Use the pads of the following convolution",
    "Transpose": "Train and export the network with channels first",
}


def check_supported(op: str, domain: str, name: str) -> None:
    """Raises `UnsupportedError`, with a remedy, for an operator outside the tables."""
    if domain not in ("", "ai.onnx") or (op not in TRANSLATIONS and op not in _ON_CONSTANTS):
        raise _unsupported(op if domain in ("", "ai.onnx") else f"{domain}.{op}", name, "is not supported")


def translate(builder: Builder, node: OnnxNode) -> None:
    """Adds one node of the file, in the file's order."""
    inputs = list(node.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    constants = [array for name in inputs if (array := builder.const(name)) is not None]
    if node.op == "Constant":
        builder.consts[node.outputs[0]] = constant_value(node)
    elif node.op == "Shape" and not constants:
        # With a batch of one: the network is read as the function of a single image.
        builder.consts[node.outputs[0]] = shape_of(node, builder.value(inputs[0]).dims)
    elif len(constants) == len(inputs):
        builder.consts[node.outputs[0]] = _folded(node, constants)
    elif node.op in TRANSLATIONS:
        TRANSLATIONS[node.op](builder, node)
    else:
        raise _unsupported(node.op, node.name, "is supported on constants only, and here its input is computed")


def _folded(node: OnnxNode, constants: list[np.ndarray]) -> np.ndarray:
    return shape_of(node, constants[0].shape) if node.op == "Shape" else fold(node, constants)


def _unsupported(op: str, name: str, problem: str) -> UnsupportedError:
    remedy = _REMEDIES.get(op, "Write the network with these, or leave the operator out of the exported part")
    return UnsupportedError(
        f"operator {op} (node {name!r}) {problem}. Supported: {', '.join(TRANSLATIONS)}; on "
        f"constants also {', '.join(_ON_CONSTANTS)}. {remedy}."
    )
