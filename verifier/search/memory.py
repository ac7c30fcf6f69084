"""How many inputs fit through a stage at once."""

from math import prod

from ..bounds.extent import coefficients
from ..bounds.interval import exact_values
from ..graph import Graph
from ..ops import OPERATORS, Affine, Params

COPIES = 5  # buffers of the widest form that are alive together
_BOXES = 4  # numbers for each value of the graph that are alive together


def inputs_at_once(graph: Graph, params: Params, budget: int, itemsize: int = 8) -> int:
    """Inputs whose coefficients stay under `budget` bytes in DeepPoly, at least 1."""
    exact, widest = exact_values(graph), 1
    for node in graph.nodes:
        if not isinstance(OPERATORS[node.op], Affine) and node.inputs[0] not in exact:
            widest = max(widest, coefficients(graph, params, node.inputs[0]))
    return max(1, budget // (widest * itemsize * COPIES))


def inputs_per_pass(graph: Graph, budget: int, itemsize: int = 8) -> int:
    """Inputs whose values, bounded or differentiated from end to end, stay under `budget` bytes; at least 1."""
    return max(1, budget // (_BOXES * itemsize * sum(prod(shape) for shape in graph.shapes.values())))
