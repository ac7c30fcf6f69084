"""What the translation of an ONNX graph has built so far: canonical nodes, and what each name of the file stands for.

A name of the file stands for a constant or for a computed value. A computed value has two shapes: `dims`, the file's
own, with a batch of one; and the canonical one, which leaves the batch axis out. Row-major, both hold the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import InputError, UnsupportedError
from .ir import Node
from .proto import OnnxNode
from .reading import Reading
from .shapes import Shape, value_shape


@dataclass(frozen=True)
class Value:
    """`name` is the canonical value's name; `dims` is the shape in the file, with a batch of one."""

    name: str
    dims: Shape


MAX_GROWTH = 2**28  # bytes that evaluated constants may take beyond the largest of what each is made of


class Builder:
    def __init__(self, reading: Reading, consts: dict[str, np.ndarray]) -> None:
        self.batch = reading.batch
        self.dynamic = reading.batch is not None  # the first axis of every value is the batch, and stays apart
        self.dtype = reading.dtype
        self.consts = consts
        self.nodes: list[Node] = []
        self.params: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.input = ""  # the canonical graph's
        self._values: dict[str, Value] = {}
        self._names: set[str] = set()
        self._node_names: set[str] = set()
        self._growth = 0
        self._take(reading)

    def _take(self, reading: Reading) -> None:
        """The file's only input is the graph's; of several each is its part of one vector."""
        if len(reading.inputs) == 1:
            (port,) = reading.inputs
            self.input = _fresh(port.name, self._names)
            self.shapes[self.input] = self.without_batch(port.dims)
            self._values[port.name] = Value(self.input, port.dims)
            return
        self.input = _fresh("inputs", self._names)
        self.shapes[self.input] = (reading.entries,)
        first = 0
        for port in reading.inputs:
            origin = OnnxNode("Split", port.name, (), (port.name,))
            indices = tuple(range(first, first + port.size))
            part = self.emit(origin, "Gather", [self.input], attrs={"axis": 0, "indices": indices})
            self._values[port.name] = Value(self.reshape(origin, part, self.without_batch(port.dims)), port.dims)
            first += port.size

    def without_batch(self, dims: Shape) -> Shape:
        """A leading 1 is the batch axis, except where it is the only axis there is. A number is a vector of 1."""
        return (dims[1:] if self.dynamic or (len(dims) > 1 and dims[0] == 1) else dims) or (1,)

    def const(self, name: str) -> np.ndarray | None:
        return self.consts.get(name)

    def fold(self, name: str, array: np.ndarray, sources: Sequence[np.ndarray]) -> None:
        """Says that `name` is a constant made of others. Raises `InputError` where such take too much memory."""
        self._growth += max(0, array.nbytes - max(source.nbytes for source in sources))
        if self._growth > MAX_GROWTH:
            raise InputError(
                f"the file's constants, evaluated, take more than {MAX_GROWTH} bytes beyond what it holds. Export it "
                "with constants folded."
            )
        self.consts[name] = array

    def value(self, name: str) -> Value:
        if name in self.consts:
            raise UnsupportedError(
                f"the value {name!r} is a constant where a computed value is supported. Export the network again, with "
                "constants folded."
            )
        if name not in self._values:
            raise UnsupportedError(
                f"the value {name!r} (an optional output, or an operand left out) is used, which is "
                "not supported. Export the network in evaluation mode."
            )
        return self._values[name]

    def bound(self) -> Mapping[str, Value]:
        """The file's names of computed values, in the order in which they were read."""
        return self._values

    def emit(
        self,
        origin: OnnxNode,
        op: str,
        inputs: Sequence[str],
        params: Sequence[str] = (),
        attrs: Mapping[str, Any] | None = None,
    ) -> str:
        """Appends a canonical node made from `origin`; the name of its value."""
        own = origin.op == op
        name = _fresh(origin.outputs[0] if own else f"{origin.outputs[0]}.{op.lower()}", self._names)
        label = _fresh(origin.name if own else f"{origin.name}.{op.lower()}", self._node_names)
        node = Node(op, label, tuple(inputs), name, tuple(params), dict(attrs or {}))
        shape = value_shape(node, [self.shapes[i] for i in inputs], [self.params[p].shape for p in params])
        self.nodes.append(node)
        self.shapes[name] = shape
        return name

    def reshape(self, origin: OnnxNode, value: str, shape: Shape) -> str:
        """`value` in another canonical shape; nothing is added where it has that shape already."""
        if self.shapes[value] == shape:
            return value
        if len(shape) == 1 and self.shapes[value]:
            return self.emit(origin, "Flatten", [value])
        return self.emit(origin, "Reshape", [value], attrs={"shape": shape})

    def bind(self, origin: OnnxNode, value: str, dims: Shape) -> None:
        """Says that the first output of `origin` is `value`, of shape `dims` in the file."""
        if self.dynamic and (len(dims) < 2 or dims[0] != 1):
            raise refusal(
                origin,
                f"gives shape {list(dims)} for a batch of one: it moves or drops the batch axis",
                "Keep the batch as the first axis",
            )
        self._values[origin.outputs[0]] = Value(self.reshape(origin, value, self.without_batch(dims)), dims)

    def param(self, origin: OnnxNode, hint: str, array: np.ndarray) -> str:
        """Stores a weight under `hint` or a name like it; equal weights of one name are stored once."""
        if array.dtype != self.dtype:
            raise refusal(
                origin,
                f"has a constant of type {array.dtype} where the input is {self.dtype}",
                f"Export the network in {self.dtype}",
            )
        if not np.isfinite(array).all():
            raise InputError(
                f"operator {origin.op} (node {origin.name!r}) has a weight ({hint!r}) with NaN or "
                "infinity in it: the network gives no usable outputs. Export a sound checkpoint."
            )
        name, count = hint, 1
        while name in self.params and not _same(self.params[name], array):
            count += 1
            name = f"{hint}.{count}"
        self.params[name] = array
        return name


def refusal(origin: OnnxNode, found: str, remedy: str) -> UnsupportedError:
    return UnsupportedError(f"operator {origin.op} (node {origin.name!r}) {found}. {remedy}.")


def broadcast(origin: OnnxNode, *shapes: Shape) -> Shape:
    """The common shape; raises `UnsupportedError` where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise refusal(
            origin,
            f"combines shapes {' and '.join(str(list(s)) for s in shapes)}, which do not fit",
            "Export the network again",
        ) from error


def size(dims: Shape) -> int:
    return prod(dims)


def _fresh(hint: str, taken: set[str]) -> str:
    """`hint`, or `hint.2`, … where it is taken; taken from now on."""
    name, count = hint, 1
    while name in taken:
        count += 1
        name = f"{hint}.{count}"
    taken.add(name)
    return name


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b)
