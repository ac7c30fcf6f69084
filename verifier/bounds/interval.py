"""Interval bound propagation of a graph (Gowal et al. 2018) and what is affine in the input."""

from collections.abc import Mapping

from torch import Tensor

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Params


def interval_boxes(graph: Graph, params: Params, box: Box, values: set[str] | None = None) -> dict[str, Box]:
    """A box for every value (or those in `values`, which must be closed under inputs), by name."""
    boxes = {graph.input: box}
    for node in graph.nodes:
        if values is None or node.output in values:
            boxes[node.output] = image(node, params, boxes)
    return boxes


def image(node: Node, params: Params, boxes: Mapping[str, Box]) -> Box:
    """The box of a node's output from those of its inputs."""
    return OPERATORS[node.op].interval(node, params, *(boxes[name] for name in node.inputs))


def nonlinear_inputs(graph: Graph) -> dict[str, str]:
    """Output name -> input name of every nonlinearity."""
    return {node.output: node.inputs[0] for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)}


def affine_values(graph: Graph) -> set[str]:
    """Names of the values that are affine in the input."""
    found = {graph.input}
    for node in graph.nodes:
        if isinstance(OPERATORS[node.op], Affine) and found.issuperset(node.inputs):
            found.add(node.output)
    return found


def exact_values(graph: Graph) -> set[str]:
    """Names of the values whose interval image is exact: at most one operator on the way mixes entries."""
    separate, exact = {graph.input}, {graph.input}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        if not isinstance(operator, Affine) or not exact.issuperset(node.inputs):
            continue
        if not operator.mixing and len(node.inputs) == 1:
            exact.add(node.output)
            if separate.issuperset(node.inputs):
                separate.add(node.output)
        elif separate.issuperset(node.inputs) and len(node.inputs) == 1:
            exact.add(node.output)
    return exact


def entry_value(graph: Graph) -> str:
    """The last value that all else depends on through it alone and in which input entries still stand apart.

    Its box is as exact as the input's, so that back-substitution may end there: past a normalisation, say.
    """
    name = graph.input
    while True:
        readers = [node for node in graph.nodes if name in node.inputs]
        if len(readers) != 1 or len(readers[0].inputs) != 1:
            return name
        operator = OPERATORS[readers[0].op]
        if not isinstance(operator, Affine) or operator.mixing:
            return name
        name = readers[0].output


def centre(box: Box) -> Tensor:
    return (box.lower + box.upper) / 2


def radius(box: Box) -> Tensor:
    return (box.upper - box.lower) / 2
