"""The operators of the bound engine, and the plain forward pass."""

from collections.abc import Mapping

from torch import Tensor

from ..functions import FUNCTIONS
from ..functions import Box as Box
from ..functions import Lines as Lines
from ..graph import Graph
from .arithmetic import Add, Div, Mul, Sub
from .base import Affine as Affine
from .base import Nonlinear as Nonlinear
from .base import Params as Params
from .conv_transpose import ConvTranspose
from .linear import Conv, Gemm, MatMul
from .shape import Flatten, Gather, Pad, ReduceSum, Reshape, Transpose

OPERATORS: Mapping[str, Affine | Nonlinear] = {
    "Add": Add(),
    "Conv": Conv(),
    "ConvTranspose": ConvTranspose(),
    "Div": Div(),
    "Flatten": Flatten(),
    "Gather": Gather(),
    "Gemm": Gemm(),
    "MatMul": MatMul(),
    "Mul": Mul(),
    "Pad": Pad(),
    "ReduceSum": ReduceSum(),
    "Reshape": Reshape(),
    "Sub": Sub(),
    "Transpose": Transpose(),
    **{op: Nonlinear(function) for op, function in FUNCTIONS.items()},
}


def evaluate(graph: Graph, params: Params, x: Tensor) -> Tensor:
    """The network's outputs [B, K] for inputs [B, *v]."""
    values = {graph.input: x}
    for node in graph.nodes:
        values[node.output] = OPERATORS[node.op].forward(node, params, *(values[name] for name in node.inputs))
    return values[graph.output]
