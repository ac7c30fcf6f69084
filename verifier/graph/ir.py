"""The network as data: a frozen graph of operators; the weights live outside, in `params`.

    y = f(x; params),   x [B, *v] in the input's shape, y [B, K]

Values are named; shapes leave the batch axis out. `params` maps names to arrays (numpy after loading, torch inside
the bound engine) so that the same graph serves one set of weights, a stacked population or a gradient.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from .reading import Reading


@dataclass(frozen=True)
class Node:
    """One operator. `op` is a key of `glscert.verifier.ops.OPERATORS`, named as in ONNX."""

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    params: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order from `input` to `output`; `shapes` holds *v for every value, batch left out.

    ending: ArgMax, LogSoftmax or Softmax where the file goes on to that from the graph's output, its logits.
    reading: how the file that it was made of is fed, where it was. rounding: what the params may be off by, as a
    part of themselves, from what follows from the file's numbers; deployed: what a runtime, in the file's own type, may
    add to that.
    """

    input: str
    output: str
    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[int, ...]]
    ending: str | None = None
    rounding: float = 0.0
    deployed: float = 0.0
    reading: Reading | None = field(default=None, compare=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shapes[self.input]

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.shapes[self.output]

    @property
    def answers(self) -> int:
        """How many outputs the file has, after the ending."""
        return 1 if self.ending == "ArgMax" else self.output_shape[0]

    @property
    def held(self) -> tuple[dict[str, int], dict[str, int]] | None:
        """Of a graph from a file: the sizes of the tensors that hold its inputs and its outputs, by name, in order."""
        if self.reading is None:
            return None
        sizes = [port.size for port in self.reading.logits] if self.ending is None else [self.answers]
        inputs = {port.name: port.size for port in self.reading.inputs}
        return inputs, dict(zip(self.reading.outputs, sizes, strict=True))

    def upto(self, value: str) -> "Graph":
        """The part that computes a value, as a row of outputs."""
        needed, nodes = {value}, []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(node.inputs)
                nodes.append(node)
        row = f"{value} as a row"
        while row in self.shapes:
            row += "'"
        shapes = {name: self.shapes[name] for name in needed} | {row: (prod(self.shapes[value]),)}
        part = (*reversed(nodes), Node("Flatten", row, (value,), row))
        return replace(self, output=row, nodes=part, shapes=shapes, ending=None)

    def producers(self) -> dict[str, Node]:
        """Value name -> the node that computes it (the input has none)."""
        return {node.output: node for node in self.nodes}
