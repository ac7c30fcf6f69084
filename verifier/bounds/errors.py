"""A running error analysis of back-substitution: what rounding may have added to a bound.

    error of a row <= unit · (sum over linings of |A_a| · E  +  |row| · M  +  |A_x| · (|centre| + radius))

A_a met the lines of a = f(z), E = slope · M_z + |starts|, and M_z = |W| |a'| + |b| with a' the boxes of the layer
before: what rounds in one layer's step (n·u times the sum of n magnitudes, Higham 2002, section 3.1) is multiplied with
the values there, which are bounded, not with the weights of all that lies below.
"""

from collections.abc import Sequence

from torch import Tensor, maximum

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Lines, Params
from .zonotope import Zonotope


class Errors:
    """How far rounding may carry bounds over boxes [B, *v] of the input, in units of `unit`; grown node by node.

    sizes [B, *v]: largest magnitudes of values, and of what is summed to them, over the boxes of the layer before.
    """

    def __init__(self, graph: Graph, params: Params, box: Box, unit: float) -> None:
        self.unit = unit
        self.sizes = {graph.input: magnitude(box)}
        self._graph, self._params = graph, params

    def reach(self, node: Node, box: Box | None) -> None:
        """Goes on to a node's output; box [B, *v] of a nonlinearity's input."""
        operator = OPERATORS[node.op]
        if isinstance(operator, Affine):
            sizes = [self.sizes[name] for name in node.inputs]
            self.sizes[node.output] = summed(self._graph, self._params, node, operator, sizes)
        elif box is not None:
            self.sizes[node.output] = magnitude(operator.interval(node, self._params, box))

    def widened(self, name: str, box: Box) -> Box:
        """What interval arithmetic found, by as much as it may have rounded."""
        most = self.unit * self.sizes[name]
        return Box(box.lower - most, box.upper + most)

    def of_lines(self, name: str, lines: Lines) -> Tensor:
        """E [B, entries] of lines [B, 1, *v]."""
        low, low_start, up, up_start = lines
        slope = maximum(low.abs(), up.abs()).clamp(min=1).squeeze(1)  # also of slopes that climbed, within [0, 1]
        found = slope * self.sizes[name] + up_start.abs().squeeze(1)
        return (found if low_start is None else found + low_start.abs().squeeze(1)).flatten(1)

    def beyond(self, node: Node, before: list[Zonotope], after: Zonotope) -> Zonotope:
        """The zonotope of a node's output with what rounding may have left out."""
        operator = OPERATORS[node.op]
        if isinstance(operator, Affine):
            size = summed(self._graph, self._params, node, operator, [_reached(each) for each in before])
        else:
            size = _reached(before[0]) + _reached(after)
        return after._replace(deviation=after.deviation + self.unit * size)


def summed(graph: Graph, params: Params, node: Node, operator: Affine, sizes: Sequence[Tensor]) -> Tensor:
    """|W| m + |b| for magnitudes m [B, *v] of a node's inputs: of all that its output is the sum of."""
    reached = operator.spread(node, params, *sizes)
    offset = operator.offset(node, params, tuple(graph.shapes[name] for name in node.inputs))
    return reached if offset is None else reached + offset.abs()


def magnitude(box: Box) -> Tensor:
    return maximum(box.lower.abs(), box.upper.abs())


def _reached(value: Zonotope) -> Tensor:
    return value.centre.abs() + value.generators.abs().sum(1) + value.deviation
