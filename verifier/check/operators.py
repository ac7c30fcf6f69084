"""The ONNX operators that the checker follows, by name, each a function (node, builder, inputs) -> its outputs."""

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx

from . import linear, moves, windows
from .builder import Builder, Node, Value, Variable, constant, numbers, variable, whole
from .curves import Absolute, Bent, Clamped, Curve, Rising
from .digest import read_tensor
from .moves import Inputs
from .rounding import MOST_ENTRIES

Operator = Callable[[Node, Builder, Inputs], list[Value]]
ENDINGS = ("Softmax", "LogSoftmax")  # over the classes, at the very end: they keep the order of scores


def _curve(curve: Curve, node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only()
    return [builder.unary(variable(node, inputs[0]), curve)]


def _leaky_relu(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("alpha")
    slope = float(np.float32(node.get("alpha", 0.01)))
    if not 0 <= slope < 1 or 0 < slope < np.finfo(builder.floating).tiny:
        raise node.refuse(f"a slope of {slope:g}; from 0 to below 1 is covered.")
    return [builder.unary(variable(node, inputs[0]), Bent(slope))]


def _clip(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("min", "max")
    ends = [float(node.get("min", -np.inf)), float(node.get("max", np.inf))]
    for place in (1, 2):
        if len(inputs) > place and inputs[place] is not None:
            ends[place - 1] = float(numbers(node, builder, inputs[place], "an end").reshape(-1)[0])
    if not ends[0] <= ends[1]:
        raise node.refuse(f"from {ends[0]:g} to {ends[1]:g}.")
    return [builder.unary(variable(node, inputs[0]), Clamped(ends[0], ends[1]))]


def _constant(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("value", "value_float", "value_floats", "value_int", "value_ints")
    ((name, value),) = node.attributes.items() or [("", None)]
    if isinstance(value, onnx.TensorProto):
        return [read_tensor(value)]
    if value is None:
        raise node.refuse("it states no value.")
    return [np.array(value, np.float32 if name.startswith("value_float") else np.int64)]


def _constant_of_shape(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("value")
    shape = whole(node, inputs[0], "the shape")
    value = node.get("value", None)
    filled = np.zeros(1, np.float32) if value is None else read_tensor(value)
    if min(shape, default=0) < 0 or np.prod(shape, dtype=float) > MOST_ENTRIES or filled.size != 1:
        raise node.refuse(f"the shape {shape[:8]}.")
    return [np.full(shape, filled.reshape(-1)[0])]


def _shape(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("start", "end")
    value = inputs[0]
    if value is None:
        raise node.refuse("it reads nothing.")
    return [np.array(value.shape[node.get("start", 0) : node.get("end", None)], np.int64)]


def _cast(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    node.only("to", "saturate")
    to = onnx.helper.tensor_dtype_to_np_dtype(node.get("to", 0))
    value = inputs[0]
    if isinstance(value, Variable):
        if to != builder.floating:
            raise node.refuse(f"to {to}, the network computes in {builder.floating}.")
        return [value]
    found = constant(node, value, "it")
    if to != found.dtype and not (np.issubdtype(to, np.signedinteger) and np.issubdtype(found.dtype, np.signedinteger)):
        raise node.refuse(f"of constants from {found.dtype} to {to}.")
    return [found.astype(to)]


OPERATORS: dict[str, Operator] = {
    "Abs": partial(_curve, Absolute()),
    "Add": linear.add,
    "AveragePool": windows.average_pool,
    "BatchNormalization": linear.batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": moves.concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": linear.conv,
    "Div": linear.divide,
    "Gemm": linear.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "LeakyRelu": _leaky_relu,
    "MatMul": linear.matmul,
    "MaxPool": windows.max_pool,
    "Mul": linear.multiply,
    "Neg": linear.negate,
    "Pad": moves.pad,
    "ReduceMean": linear.reduce_mean,
    "ReduceSum": linear.reduce_sum,
    "Relu": partial(_curve, Bent()),
    "Shape": _shape,
    "Sigmoid": partial(_curve, Rising(tanh=False)),
    "Split": moves.split,
    "Sub": linear.subtract,
    "Sum": linear.add,
    "Tanh": partial(_curve, Rising(tanh=True)),
}


def apply(node: Node, builder: Builder, inputs: Inputs) -> list[Value]:
    """Raises NotCovered where the operator is none of these, or is used in a way that they do not cover."""
    if node.op in moves.MOVES:
        return moves.apply_move(moves.MOVES[node.op], node, builder, inputs)
    if node.op not in OPERATORS:
        known = ", ".join(sorted({*OPERATORS, *moves.MOVES}))
        raise node.refuse(f"the checker does not follow this operator; it follows {known}.")
    try:
        return OPERATORS[node.op](node, builder, inputs)
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        raise node.refuse(f"its inputs or attributes do not fit: {str(error)[:200]}") from None
