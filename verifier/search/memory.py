"""How many inputs fit through back-substitution at once."""

from math import prod

from ..bounds.interval import exact_values
from ..graph import Graph
from ..ops import OPERATORS, Affine, Params

_COPIES = 5  # buffers of the widest form that are alive together


def inputs_at_once(graph: Graph, params: Params, budget: int, itemsize: int = 8) -> int:
    """Inputs whose coefficients stay under `budget` bytes in DeepPoly, at least 1."""
    exact, most = exact_values(graph), 1
    producers = graph.producers()
    for node in graph.nodes:
        if isinstance(OPERATORS[node.op], Affine) or node.inputs[0] in exact:
            continue
        shape = graph.shapes[node.inputs[0]]
        rows, value = 2 * prod(shape), node.inputs[0]
        reach: tuple[int, ...] | None = (1, 1) if len(shape) == 3 else None
        while value in producers:
            below = producers[value]
            value = below.inputs[0]
            extent = graph.shapes[value]
            if below.op == "Conv" and reach is not None:
                kernel, strides = params[below.params[0]].shape[2:], below.attrs["strides"]
                reach = tuple((n - 1) * s + k for n, s, k in zip(reach, strides, kernel, strict=True))
            seen = prod(extent) if reach is None else extent[0] * min(reach[0] * reach[1], prod(extent[1:]))
            reach = reach if len(extent) == 3 else None
            most = max(most, rows * seen)
    return max(1, budget // (most * itemsize * _COPIES))
