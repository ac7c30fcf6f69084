"""How much room back-substitution takes: the widest form on the way from a value's neurons down to the input."""

from math import prod

import torch

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Params
from .chains import all_compiled
from .interval import entry_value, exact_values, nonlinear_inputs

_WHOLE = 1 << 20  # rows or columns of a window that spans any map


def coefficients_of_all(graph: Graph, params: Params, device: torch.device) -> int:
    """`coefficients` of all pre-activations together, but for those that a compiled program takes on such a device."""
    exact, entry = exact_values(graph), entry_value(graph)
    names = (name for name in dict.fromkeys(nonlinear_inputs(graph).values()) if name not in exact)
    return sum(
        coefficients(graph, params, name) for name in names if not all_compiled(graph, params, name, {entry}, device)
    )


def coefficients(graph: Graph, params: Params, name: str) -> int:
    """Entries of the widest form for one input when all neurons of the value `name`, both signs, go to the input."""
    shape = graph.shapes[name]
    widest, whole = 1, (_WHOLE, _WHOLE)
    reach = {name: (1, 1) if len(shape) == 3 else whole}  # of the window over each value that is met on the way
    for node in reversed(graph.nodes):
        if node.output not in reach:
            continue
        over = reach.pop(node.output)
        if node.op == "Conv":
            kernel, strides = params[node.params[0]].shape[2:], node.attrs["strides"]
            below = (over[0] - 1) * strides[0] + kernel[0], (over[1] - 1) * strides[1] + kernel[1]
        else:
            below = over if _entry_by_entry(node) else whole
        for value in node.inputs:
            extent, other = graph.shapes[value], reach.get(value, (1, 1))
            reach[value] = max(below[0], other[0]), max(below[1], other[1])
            seen = extent[0] * min(prod(reach[value]), prod(extent[1:])) if len(extent) == 3 else prod(extent)
            widest = max(widest, seen)
    return 2 * prod(shape) * widest


def _entry_by_entry(node: Node) -> bool:
    """Windows over the output are windows over the inputs: a nonlinearity, or arithmetic with constants or values."""
    return node.op in ("Add", "Sub", "Mul", "Div") or not isinstance(OPERATORS[node.op], Affine)
