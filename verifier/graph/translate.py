"""One function per ONNX operator on computed values: how it is written with the canonical ones."""

from collections.abc import Callable

import numpy as np

from ..errors import UnsupportedError
from .activation import absolute, clip, extremum, hard_sigmoid, hard_swish, leaky_relu, pointwise, power, prelu, tanh
from .affine import batch_normalization, einsum, gemm, matmul
from .arithmetic import add, div, mul, neg, sub
from .blocks import depth_to_space, space_to_depth, tile
from .builder import Builder, refusal
from .choices import CHOICES, choose
from .convolution import conv, conv_transpose
from .curves import celu, elu, gelu, log, selu, swish
from .ending import ENDINGS
from .fold import FOLDS, constant_value, exactly, fold, jumps, shape_of
from .pool import average_pool, global_pool, max_pool, reduce_
from .proto import OnnxNode
from .rearrange import concat, expand, gather, pad, slice_, split, transpose, where
from .reshape import flatten, reshape, squeeze, unsqueeze
from .resize import resize
from .rounding import MOST_OFF, off_by
from .transparent import cast, dropout, identity

TRANSLATIONS: dict[str, Callable[[Builder, OnnxNode], None]] = {
    "Abs": absolute,
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Celu": celu,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Div": div,
    "Dropout": dropout,
    "Einsum": einsum,
    "Elu": elu,
    "Erf": pointwise,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Identity": identity,
    "LeakyRelu": leaky_relu,
    "Log": log,
    "MatMul": matmul,
    "Max": extremum,
    "MaxPool": max_pool,
    "Min": extremum,
    "Mish": pointwise,
    "Mul": mul,
    "Neg": neg,
    "PRelu": prelu,
    "Pad": pad,
    "Pow": power,
    "ReduceMax": reduce_,
    "ReduceMean": reduce_,
    "ReduceMin": reduce_,
    "ReduceSum": reduce_,
    "Relu": pointwise,
    "Reshape": reshape,
    "Resize": resize,
    "Selu": selu,
    "Sigmoid": pointwise,
    "Slice": slice_,
    "Softplus": pointwise,
    "Softsign": pointwise,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": sub,
    "Swish": swish,
    "Tanh": tanh,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
    "Where": where,
}

_ON_CONSTANTS = sorted({"Constant", "Shape", *FOLDS} - TRANSLATIONS.keys())
_PROBABILITIES = (
    "It may only be the network's last operator, before its only output: leave out outputs beside it, such as the "
    "label of skl2onnx (convert with options={'zipmap': False}, then remove 'label' from graph.output)"
)
_TABLES = (
    "Convert with black_op={'LinearClassifier', 'LinearRegressor', 'Scaler'} in skl2onnx, which then writes standard "
    "operators"
)
_LABELS = (
    "It makes a label or a table: convert with options={'zipmap': False} in skl2onnx, and remove 'label' from "
    "graph.output"
)
_QUANTISED = "It rounds values while the network runs: quantise its weights only, or export it before quantising"
_ANY_REMEDY = "Write the network with supported operators, or leave this one out of the exported part"
_MIXED = ("Dropout", "Pow", "Resize", "Upsample")  # have operands of types of their own
_DOMAINS = ("", "ai.onnx")
_JUMPS = "It jumps, and at the jump rounding decides: train with Tanh, Softsign or Clip in its place"
_NORMALISATION = (
    "It divides by a spread that depends on the input; train with BatchNormalization, whose numbers are constant"
)
_REMEDIES = {
    **dict.fromkeys(ENDINGS, _PROBABILITIES),
    **dict.fromkeys(
        ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear"),
        _QUANTISED,
    ),
    **dict.fromkeys([f"ai.onnx.ml.{op}" for op in ("LinearClassifier", "LinearRegressor", "Scaler")], _TABLES),
    **dict.fromkeys(
        [f"ai.onnx.ml.{op}" for op in ("ArrayFeatureExtractor", "LabelEncoder", "Normalizer", "ZipMap")], _LABELS
    ),
    "GatherND": (
        "Take entries along one axis by Gather (torch.index_select), or export it by torch.onnx.export(…, dynamo=False)"
    ),
    "Shrink": _JUMPS,
    "ThresholdedRelu": _JUMPS,
    "GroupNormalization": _NORMALISATION,
    "InstanceNormalization": _NORMALISATION,
    "LayerNormalization": _NORMALISATION,
    "RMSNormalization": _NORMALISATION,
    "LSTM": "Write the recurrence out step by step, with the operators above",
}


def check_supported(op: str, domain: str, name: str) -> None:
    """Raises `UnsupportedError`, with a remedy, for an operator outside the tables."""
    if shortcoming(op, domain, name) is not None:
        raise _unsupported(op if domain in _DOMAINS else f"{domain}.{op}", name, "is not supported")


def shortcoming(op: str, domain: str, name: str) -> str | None:
    """What `check_supported` would say, without the tables; None where it says nothing."""
    if domain in _DOMAINS and (op in TRANSLATIONS or op in _ON_CONSTANTS):
        return None
    shown = op if domain in _DOMAINS else f"{domain}.{op}"
    return f"operator {shown} (node {name!r}). {_REMEDIES.get(shown, _ANY_REMEDY)}."


def translate(builder: Builder, node: OnnxNode) -> None:
    """Adds one node of the file, in the file's order."""
    inputs = list(node.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    constants = [name for name in inputs if builder.const(name) is not None]
    if node.op == "Constant":
        builder.consts[node.outputs[0]] = constant_value(node)
    elif node.op == "Shape" and not constants:
        # A batch of any size is one here: the network is read as the function of a single image.
        builder.consts[node.outputs[0]] = shape_of(node, builder.extents(builder.value(inputs[0])))
    elif len(constants) == len(inputs):
        _fold(builder, node, constants)
    elif node.op in CHOICES or any(name in builder.pending for name in inputs):
        _check_types(builder, node, constants)
        choose(builder, node)
    elif node.op in TRANSLATIONS:
        _check_types(builder, node, constants)
        TRANSLATIONS[node.op](builder, node)
        builder.origins.update(dict.fromkeys(node.outputs, node))
    else:
        raise _unsupported(node.op, node.name, "is supported on constants only, and here its input is computed")


def _fold(builder: Builder, node: OnnxNode, names: list[str]) -> None:
    """Evaluates constants, as a runtime does and exactly. Raises `UnsupportedError` where these part ways."""
    arrays, sources = [builder.rounded(name) for name in names], [builder.consts[name] for name in names]
    rounded = shape_of(node, arrays[0].shape) if node.op == "Shape" else fold(node, arrays)
    exact = exactly(node, sources, arrays, rounded)
    if exact.shape != rounded.shape or (jumps(node, rounded) and not np.array_equal(exact, rounded)):
        raise refusal(node, "gives another result in exact numbers than in float32", "Fold constants before exporting")
    off = off_by(node, sources, [builder.off(name) for name in names], exact)
    if off > MOST_OFF:
        raise refusal(
            node, "leaves little of what was rounded before: constants cancel", "Fold constants before exporting"
        )
    builder.fold(node.outputs[0], exact, rounded, arrays, off)


def _check_types(builder: Builder, node: OnnxNode, constants: list[str]) -> None:
    """Raises `UnsupportedError` for a constant of another float type than the values it meets."""
    for name in constants if node.op not in _MIXED else ():
        dtype = builder.rounded(name).dtype
        if dtype.kind == "f" and dtype != builder.dtype:
            raise refusal(
                node,
                f"has a constant ({name!r}) of type {dtype} where the input is {builder.dtype}",
                f"Export the network in {builder.dtype}",
            )


def _unsupported(op: str, name: str, problem: str) -> UnsupportedError:
    remedy = _REMEDIES.get(op, _ANY_REMEDY)
    return UnsupportedError(
        f"operator {op} (node {name!r}) {problem}. Supported: {', '.join(TRANSLATIONS)}; at the end also "
        f"{', '.join(ENDINGS)}; on constants also {', '.join(_ON_CONSTANTS)}. {remedy}."
    )
