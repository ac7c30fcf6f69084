"""The nonlinear functions of single entries, by the operator of the graph."""

from collections.abc import Mapping

from .base import Box as Box
from .base import Function as Function
from .base import Lines as Lines
from .relu import Relu
from .smooth import Sigmoid, Softplus, Square
from .waves import Elu, Erf, Gelu, GeluTanh, Mish, Silu, Softsign

FUNCTIONS: Mapping[str, Function] = {
    "Elu": Elu(),
    "Erf": Erf(),
    "Gelu": Gelu(),
    "GeluTanh": GeluTanh(),
    "Mish": Mish(),
    "Relu": Relu(),
    "Sigmoid": Sigmoid(),
    "Silu": Silu(),
    "Softplus": Softplus(),
    "Softsign": Softsign(),
    "Square": Square(),
}
