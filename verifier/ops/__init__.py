"""The operators of the bound engine, and the plain forward pass."""

from collections.abc import Mapping

from torch import Tensor

from ..graph import Graph
from .arithmetic import Add, Div, Mul, Sub
from .base import Affine as Affine
from .base import Box as Box
from .base import Lines as Lines
from .base import Nonlinear as Nonlinear
from .base import Params as Params
from .conv_transpose import ConvTranspose
from .linear import Conv, Gemm, MatMul
from .relu import Relu
from .shape import Flatten, Gather, Pad, ReduceSum, Reshape, Transpose
from .smooth import Sigmoid, Softplus, Square
from .waves import Elu, Erf, Gelu, GeluTanh, Mish, Silu, Softsign

OPERATORS: Mapping[str, Affine | Nonlinear] = {
    "Add": Add(),
    "Conv": Conv(),
    "ConvTranspose": ConvTranspose(),
    "Div": Div(),
    "Elu": Elu(),
    "Erf": Erf(),
    "Flatten": Flatten(),
    "Gather": Gather(),
    "Gelu": Gelu(),
    "GeluTanh": GeluTanh(),
    "Gemm": Gemm(),
    "MatMul": MatMul(),
    "Mish": Mish(),
    "Mul": Mul(),
    "Pad": Pad(),
    "ReduceSum": ReduceSum(),
    "Relu": Relu(),
    "Reshape": Reshape(),
    "Sigmoid": Sigmoid(),
    "Silu": Silu(),
    "Softplus": Softplus(),
    "Softsign": Softsign(),
    "Square": Square(),
    "Sub": Sub(),
    "Transpose": Transpose(),
}


def evaluate(graph: Graph, params: Params, x: Tensor) -> Tensor:
    """The network's outputs [B, K] for inputs [B, *v]."""
    values = {graph.input: x}
    for node in graph.nodes:
        values[node.output] = OPERATORS[node.op].forward(node, params, *(values[name] for name in node.inputs))
    return values[graph.output]
