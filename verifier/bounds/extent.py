"""How much room back-substitution takes: the widest form on the way from a value's neurons down to the input."""

from math import prod

from ..graph import Graph
from ..ops import Params
from .backward import all_compiled
from .interval import entry_value, exact_values, nonlinear_inputs


def coefficients_of_all(graph: Graph, params: Params) -> int:
    """`coefficients` of all pre-activations together, but for those that the compiled program takes."""
    exact, entry = exact_values(graph), entry_value(graph)
    names = (name for name in dict.fromkeys(nonlinear_inputs(graph).values()) if name not in exact)
    return sum(coefficients(graph, params, name) for name in names if not all_compiled(graph, params, name, {entry}))


def coefficients(graph: Graph, params: Params, name: str) -> int:
    """Entries of the widest form for one input when all neurons of the value `name`, both signs, go to the input."""
    producers = graph.producers()
    shape = graph.shapes[name]
    rows, widest = 2 * prod(shape), 1
    reach: tuple[int, ...] | None = (1, 1) if len(shape) == 3 else None
    while name in producers:
        node = producers[name]
        name = node.inputs[0]
        extent = graph.shapes[name]
        if node.op == "Conv" and reach is not None:
            kernel, strides = params[node.params[0]].shape[2:], node.attrs["strides"]
            reach = tuple((n - 1) * s + k for n, s, k in zip(reach, strides, kernel, strict=True))
        if len(extent) != 3:
            reach = None
        widest = max(widest, prod(extent) if reach is None else extent[0] * min(prod(reach), prod(extent[1:])))
    return rows * widest
