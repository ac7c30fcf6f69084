"""Which of the file's nonlinear nodes, as the checker numbers them, the engine's nonlinearities are."""

from collections.abc import Mapping

from ..check.checker import Checker
from ..functions import FUNCTIONS
from ..graph import Graph


def links(graph: Graph, checker: Checker, sizes: Mapping[str, int]) -> list[int | None]:
    """Of each nonlinearity of the graph, in the engine's order, the node's number; None of one that reading the file
    invented, to write another operator with: its output has a name that the file does not have. sizes: entries of
    each, by the name of its input, in that order."""
    number = {node.name: place for place, node in enumerate(checker.nodes)}
    made = {node.inputs[0]: number.get(node.output) for node in reversed(graph.nodes) if node.op in FUNCTIONS}
    found = [made.get(name) for name in sizes]
    fits = zip(found, sizes.values(), strict=True)
    return [None if place is None or checker.nodes[place].entries != size else place for place, size in fits]
