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
from .linear import Conv, Gemm
from .relu import Relu
from .shape import Flatten, Reshape

OPERATORS: Mapping[str, Affine | Nonlinear] = {
    "Add": Add(),
    "Conv": Conv(),
    "Div": Div(),
    "Flatten": Flatten(),
    "Gemm": Gemm(),
    "Mul": Mul(),
    "Relu": Relu(),
    "Reshape": Reshape(),
    "Sub": Sub(),
}


def evaluate(graph: Graph, params: Params, x: Tensor) -> Tensor:
    """The network's outputs [B, K] for inputs [B, *v]."""
    values = {graph.input: x}
    for node in graph.nodes:
        values[node.output] = OPERATORS[node.op].forward(node, params, *(values[name] for name in node.inputs))
    return values[graph.output]
