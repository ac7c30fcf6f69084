"""Interval bound propagation of a graph (Gowal et al. 2018) and what is affine in the input."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ..errors import UnsupportedError
from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Nonlinear, Params


class Ball(NamedTuple):
    """Entries from centre - radius to centre + radius, each [B, *v]."""

    centre: Tensor
    radius: Tensor


def ball(box: Box) -> Ball:
    centre = (box.lower + box.upper) * 0.5
    return Ball(centre, box.upper - centre)


class Intervals:
    """The interval image of every value of a graph (or of those in `values`, which must be closed under inputs).

    Affine operators take and give balls, nonlinear ones boxes; what is asked for in the other shape is made once.
    """

    def __init__(
        self,
        graph: Graph,
        params: Params,
        box: Box,
        values: set[str] | None = None,
        known: Mapping[str, Box] | None = None,
    ) -> None:
        """known: boxes that need not be computed."""
        self._boxes: dict[str, Box] = {graph.input: box, **(known or {})}
        self._balls: dict[str, Ball] = {}
        for node in graph.nodes:
            if node.output in self._boxes or (values is not None and node.output not in values):
                continue
            operator = OPERATORS[node.op]
            if isinstance(operator, Affine):
                centres, radii = zip(*(self.ball(name) for name in node.inputs), strict=True)
                centre, radius = operator.forward(node, params, *centres), operator.spread(node, params, *radii)
                self._balls[node.output] = Ball(centre, radius)
            else:
                self._boxes[node.output] = operator.interval(node, params, self.box(node.inputs[0]))

    def box(self, name: str) -> Box:
        if name not in self._boxes:
            centre, radius = self._balls[name]
            self._boxes[name] = Box(centre - radius, centre + radius)
        return self._boxes[name]

    def ball(self, name: str) -> Ball:
        if name not in self._balls:
            self._balls[name] = ball(self._boxes[name])
        return self._balls[name]


def image(node: Node, params: Params, boxes: Mapping[str, Box]) -> Box:
    """The box of a node's output from those of its inputs."""
    return OPERATORS[node.op].interval(node, params, *(boxes[name] for name in node.inputs))


def nonlinear_inputs(graph: Graph) -> dict[str, str]:
    """Output name -> input name of every nonlinearity."""
    return {node.output: node.inputs[0] for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)}


def nonlinearities(graph: Graph) -> dict[str, Nonlinear]:
    """What reads each nonlinearity's input, by its name; one kind of operator each, or they would share their lines."""
    found: dict[str, Nonlinear] = {}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        if isinstance(operator, Nonlinear) and found.setdefault(node.inputs[0], operator) is not operator:
            raise UnsupportedError(
                f"the value {node.inputs[0]!r} is read by two kinds of nonlinear operators, one of them {node.op} "
                f"(node {node.name!r}). Put a Reshape to its own shape before one of them."
            )
    return found


def piecewise_linear(graph: Graph) -> bool:
    """Every nonlinearity is affine on either side of 0."""
    return all(operator.kinked for operator in nonlinearities(graph).values())


def affine_tail(graph: Graph) -> tuple[set[str], list[Node]]:
    """The last values that are not affine in others before the output, and the nodes from there to it, in order."""
    ends, tail = {graph.output}, []
    for node in reversed(graph.nodes):
        if node.output in ends and isinstance(OPERATORS[node.op], Affine):
            ends = ends - {node.output} | set(node.inputs)
            tail.append(node)
    return ends, tail[::-1]


def below_nonlinear(graph: Graph) -> set[str]:
    """Names of the nonlinearities' outputs and of all values that they are computed from."""
    found = set(nonlinear_inputs(graph))
    for node in reversed(graph.nodes):
        if node.output in found:
            found.update(node.inputs)
    return found


def affine_values(graph: Graph) -> set[str]:
    """Names of the values that are affine in the input."""
    found = {graph.input}
    for node in graph.nodes:
        if isinstance(OPERATORS[node.op], Affine) and found.issuperset(node.inputs):
            found.add(node.output)
    return found


def separate_values(graph: Graph) -> set[str]:
    """Names of the values in which input entries still stand apart."""
    separate = {graph.input}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        apart = isinstance(operator, Affine) and not operator.mixing and len(node.inputs) == 1
        if apart and node.inputs[0] in separate:
            separate.add(node.output)
    return separate


def exact_values(graph: Graph) -> set[str]:
    """Names of the values whose interval image is exact: at most one operator on the way mixes entries."""
    separate, exact = separate_values(graph), {graph.input}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        if isinstance(operator, Affine) and len(node.inputs) == 1:
            if node.inputs[0] in separate or (node.inputs[0] in exact and not operator.mixing):
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
