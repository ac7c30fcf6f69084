"""The nonlinear functions of single entries, by the operator of the graph."""

from collections.abc import Mapping

from .base import Box as Box
from .base import Function as Function
from .base import Lines as Lines
from .relu import Relu

FUNCTIONS: Mapping[str, Function] = {"Relu": Relu()}
