"""Zonotopes forwards, for networks of few inputs: every value as an affine function of the input and a deviation,

    v  in  c + G [-1, 1]^n + [-d, d]

G one generator for each free input entry, d of each entry by itself. A nonlinearity f on a box keeps the generators
times the slope m of its upper line; what is left of f(z) - m z goes into c and d (the hybrid of Mirman et al. 2018
with the lines of DeepZ, Singh et al. 2018). It costs a forward pass for each generator, where back-substitution costs
one for every neuron.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Box, Nonlinear, Params


class Zonotope(NamedTuple):
    """centre and deviation [B, *v], generators [B, n, *v]."""

    centre: Tensor
    generators: Tensor
    deviation: Tensor

    def box(self) -> Box:
        width = self.generators.abs().sum(1) + self.deviation
        return Box(self.centre - width, self.centre + width)


def input_zonotope(box: Box) -> Zonotope:
    """One generator for each entry that is free in some box [B, *v]."""
    radius = ((box.upper - box.lower) / 2).flatten(1)
    free = (radius > 0).any(0).nonzero().flatten()
    generators = radius.new_zeros(len(radius), len(free), radius.shape[1])
    generators[:, torch.arange(len(free)), free] = radius[:, free]
    centre = (box.lower + box.upper) / 2
    return Zonotope(centre, generators.unflatten(2, centre.shape[1:]), torch.zeros_like(centre))


def through(graph: Graph, params: Params, node: Node, values: dict[str, Zonotope], box: Box | None = None) -> Zonotope:
    """The zonotope of a node's output; `box` [B, *v] is what is known of a nonlinearity's input."""
    operator, inputs = OPERATORS[node.op], [values[name] for name in node.inputs]
    if isinstance(operator, Nonlinear):
        if box is None:
            raise ValueError("a nonlinearity needs the box of its input")
        return _bent(operator, inputs[0], box)
    return _affine(graph, params, node, operator, inputs)


def _affine(graph: Graph, params: Params, node: Node, operator: Affine, inputs: list[Zonotope]) -> Zonotope:
    count = inputs[0].generators.shape[1]
    centre = operator.forward(node, params, *(value.centre for value in inputs))
    moved = operator.forward(node, params, *(value.generators.flatten(0, 1) for value in inputs))
    offset = operator.offset(node, params, tuple(graph.shapes[name] for name in node.inputs))
    generators = (moved if offset is None else moved - offset).unflatten(0, (-1, count))
    return Zonotope(centre, generators, operator.spread(node, params, *(value.deviation for value in inputs)))


def _bent(operator: Nonlinear, value: Zonotope, box: Box) -> Zonotope:
    lines = operator.lines(box, None)
    if operator.kinked:
        lines = operator.lines(box, lines.upper_slope)  # with a lower line parallel to the upper
    slope, least = lines.upper_slope, (lines.lower_slope - lines.upper_slope).squeeze(1)
    below = torch.minimum(least * box.lower, least * box.upper)
    if lines.lower_start is not None:
        below = below + lines.lower_start.squeeze(1)
    above, own = lines.upper_start.squeeze(1), slope.squeeze(1)
    return Zonotope(
        own * value.centre + (above + below) / 2,
        slope * value.generators,
        own.abs() * value.deviation + (above - below) / 2,
    )
