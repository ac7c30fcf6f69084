"""Which of the file's nonlinear nodes, as the checker numbers them, the engine's nonlinearities are."""

from collections.abc import Mapping

import onnx

from ..check.checker import Checker
from ..functions import FUNCTIONS
from ..graph import Graph
from ..graph.proto import live_nodes

_BENDS = ("Abs", "Clip", "LeakyRelu", "MaxPool", "Relu", "Sigmoid", "Tanh")  # each is one node of the checker's


def links(graph: Graph, model: onnx.ModelProto, checker: Checker, sizes: Mapping[str, int]) -> list[int | None]:
    """Of each nonlinearity of the graph, in the engine's order, the node's number; None of one that reading the file
    invented, to write another operator with. sizes: entries of each, by the name of its input, in that order."""
    fed = [info.name for info in model.graph.input]
    ends = [info.name for info in model.graph.output]
    bent = [node for node in live_nodes(model.graph, fed, ends) if node.op_type in _BENDS]
    if len(bent) != len(checker.nodes):
        return [None] * len(sizes)
    number = {(node.output[0], node.op_type): place for place, node in enumerate(bent)}
    made = {
        node.inputs[0]: number.get((node.output, node.op)) for node in reversed(graph.nodes) if node.op in FUNCTIONS
    }
    found = [made.get(name) for name in sizes]
    fits = zip(found, sizes.values(), strict=True)
    return [None if place is None or checker.nodes[place].entries != size else place for place, size in fits]
