"""A graph whose outputs go on with some of its inputs: what relates both is then linear in the outputs alone."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from .ir import Graph, Node


def extended(graph: Graph, entries: Sequence[int]) -> Graph:
    """Outputs [K + m]: the graph's own [K], then these m entries of the flat input; exact in any arithmetic."""
    nodes, shapes = list(graph.nodes), dict(graph.shapes)
    (outputs,), inputs, count = graph.output_shape, prod(graph.input_shape), len(entries)

    def add(op: str, values: tuple[str, ...], shape: tuple[int, ...], **attrs: object) -> str:
        name = f"{op} of {values[0]}"
        while name in shapes:
            name += " again"
        nodes.append(Node(op, name, values, name, attrs=attrs))
        shapes[name] = shape
        return name

    flat = graph.input if len(graph.input_shape) == 1 else add("Flatten", (graph.input,), (inputs,))
    if list(entries) != list(range(inputs)):
        flat = add("Gather", (flat,), (count,), axis=0, indices=tuple(entries))
    whole = (outputs + count,)
    first = add("Pad", (graph.output,), whole, pads=(0, count))
    rest = add("Pad", (flat,), whole, pads=(outputs, 0))
    return replace(graph, output=add("Add", (first, rest), whole), nodes=tuple(nodes), shapes=shapes)
