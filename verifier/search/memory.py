"""How many inputs fit through a stage at once."""

from math import prod

from ..bounds.extent import coefficients
from ..bounds.interval import exact_values
from ..graph import Graph
from ..ops import OPERATORS, Affine, Params
from .cost import multiplications

COPIES = 5  # buffers of the widest form that are alive together
_BOXES = 4  # numbers for each value of the graph that are alive together
_ROWS = 3  # copies of a specification's rows that are alive together
_PASS = 20_000_000_000  # multiplications between two looks at the clock


def inputs_at_once(graph: Graph, params: Params, budget: int, itemsize: int = 8) -> int:
    """Inputs whose coefficients stay under `budget` bytes in DeepPoly, at least 1."""
    exact, widest = exact_values(graph), 1
    for node in graph.nodes:
        if not isinstance(OPERATORS[node.op], Affine) and node.inputs[0] not in exact:
            widest = max(widest, coefficients(graph, params, node.inputs[0]))
    return max(1, budget // (widest * itemsize * COPIES))


def rows_at_once(graph: Graph, inputs: int, budget: int, itemsize: int = 8) -> int:
    """Rows of each of so many inputs whose coefficients stay under `budget` bytes on their way, at least 1."""
    return max(1, budget // (itemsize * COPIES * inputs * max(prod(shape) for shape in graph.shapes.values())))


def inputs_per_pass(graph: Graph, params: Params, budget: int, itemsize: int = 8, rows: int = 0) -> int:
    """Inputs whose values, bounded or differentiated from end to end, stay under `budget` bytes with so many rows of
    each over the outputs, in a pass after which the clock is looked at; at least 1."""
    values = sum(prod(shape) for shape in graph.shapes.values())
    held = itemsize * (_BOXES * values + _ROWS * rows * prod(graph.output_shape))
    return max(1, min(budget // held, _PASS // multiplications(graph, params)))
