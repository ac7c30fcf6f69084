"""A last Sigmoid or Tanh: it keeps the order of what goes into it, so that order can be asked for before it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .ir import Graph, Node

_RANGES = {"Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}


class Ordered(NamedTuple):
    """`graph` gives a vector u [K]; the outputs are y = low + (high - low) · s(u), with one growing s from 0 to 1 for
    all of them and s(0) = 1/2. curve: Sigmoid or Tanh where low and high are those of the function itself."""

    graph: Graph
    low: float
    high: float

    @property
    def curve(self) -> str | None:
        return next((name for name, ends in _RANGES.items() if ends == (self.low, self.high)), None)


def ordered(graph: Graph, params: Mapping[str, Any]) -> Ordered | None:
    """The graph before a curve that ends it; None where none does. params: arrays or tensors."""
    producers, name, scale, shift = graph.producers(), graph.output, 1.0, 0.0
    while (node := producers.get(name)) is not None and node.op not in _RANGES:
        step = _step(node, params)
        if step is None:
            return None
        scale, shift = scale * step[0], shift + scale * step[1]
        name = node.inputs[0]
    if node is None or graph.ending is not None or not scale > 0:
        return None
    low, high = (scale * end + shift for end in _RANGES[node.op])
    source = node.inputs[0]
    doubled = producers.get(source)
    if (low, high) == _RANGES["Tanh"] and doubled is not None and _step(doubled, params) == (2.0, 0.0):
        source = doubled.inputs[0]  # tanh(x) = 2 sigmoid(2 x) - 1
    part = graph.upto(source)
    return Ordered(replace(graph, output=part.output, nodes=part.nodes, shapes=part.shapes), low, high)


def _step(node: Node, params: Mapping[str, Any]) -> tuple[float, float] | None:
    """Factor and summand of a node that moves nothing and treats all entries alike; None of another."""
    if node.op in ("Flatten", "Reshape"):
        return 1.0, 0.0
    if node.op not in ("Add", "Sub", "Mul", "Div") or len(node.params) != 1 or len(node.inputs) != 1:
        return None
    constant = params[node.params[0]]
    least, most = float(constant.min()), float(constant.max())
    if least != most or (node.op == "Div" and not least):
        return None
    steps = {"Add": (1.0, least), "Sub": (1.0, -least), "Mul": (least, 0.0), "Div": (1 / (least or 1.0), 0.0)}
    return steps[node.op]
