"""What the translation of an ONNX graph has built so far: canonical nodes, and what each name of the file stands for.

A name of the file stands for a constant or for a computed value. A computed value has two shapes: `dims`, the file's
own, with a batch of one; and the canonical one, which leaves the batch axis out. Row-major, both hold the same numbers.

Constants are exact, or float64 numbers within their last bit: what a float32 runtime rounds on the way (1/3, the root
of a variance) is not rounded to float32 here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ..errors import InputError, UnsupportedError
from .ir import Node
from .names import Names
from .pieces import Traced
from .proto import OnnxNode
from .reading import Reading
from .rounding import ROUNDED, apart
from .shapes import Shape, value_shape


@dataclass(frozen=True)
class Value:
    """`name` is the canonical value's name; `dims` is the shape in the file, with a batch of one."""

    name: str
    dims: Shape


_FACTORS = 4  # constants of which a parameter is the product at most
MAX_GROWTH = 2**28  # bytes that evaluated constants, weights and indices may take beyond those they are made of
INDEX_BYTES = 40  # bytes of one Python integer in a tuple


class Builder:
    def __init__(self, reading: Reading, consts: dict[str, np.ndarray], names: Names) -> None:
        self.batch = reading.batch
        self.dynamic = reading.batch is not None  # the first axis of every value is the batch, and stays apart
        self.dtype = reading.dtype
        self.consts = consts
        self.names = names
        self.nodes: list[Node] = []
        self.params: dict[str, np.ndarray] = {}
        self.rounding = 0.0  # what constants may be off by, as a part of themselves
        self.deployed = 0.0  # what a runtime may add to that
        self._off: dict[str, float] = {}  # likewise, of each that is made of others
        self.shapes: dict[str, Shape] = {}
        self.input = ""  # the canonical graph's
        self.origins: dict[str, OnnxNode] = {}  # of every value and constant of the file that a node computes
        self.pieces: dict[str, Traced] = {}  # of values that comparisons decide, and of those before them
        self.traced = 0  # of `origins`, how many these were looked for in
        self.pending: dict[str, UnsupportedError] = {}  # of those that are no canonical value: why not
        self._values: dict[str, Value] = {}
        self._rounded: dict[str, np.ndarray] = {}
        self._stored: dict[tuple[str, bool, Shape, bytes], str] = {}
        self._charged: set[str] = set()  # weights of the file that were taken once, for which nothing is counted
        self._parts: set[str] = set()  # values that no name of the file stands for yet
        self._growth = 0
        self._take(reading)

    def _take(self, reading: Reading) -> None:
        """The file's only input is the graph's; of several each is its part of one vector."""
        if len(reading.inputs) == 1:
            (port,) = reading.inputs
            self.input = port.name
            self.shapes[self.input] = self.without_batch(port.dims)
            self._values[port.name] = Value(self.input, port.dims)
            return
        self.input = self.names.fresh("inputs")
        self.shapes[self.input] = (reading.entries,)
        first = 0
        for port in reading.inputs:
            origin = OnnxNode("Split", port.name, (), (port.name,))
            indices = tuple(range(first, first + port.size))
            part = self.emit(origin, "Gather", [self.input], attrs={"axis": 0, "indices": indices})
            self._values[port.name] = Value(self.reshape(origin, part, self.without_batch(port.dims)), port.dims)
            first += port.size
        self._parts.clear()

    def without_batch(self, dims: Shape) -> Shape:
        """A leading 1 is the batch axis, except where it is the only axis there is; a single number is one of [1]."""
        return (dims[1:] if self.dynamic or (len(dims) > 1 and dims[0] == 1) else dims) or (1,)

    def extents(self, value: Value) -> Shape:
        """The value's shape as a runtime has it, where the file fixes the batch: of all its images."""
        return (self.batch, *value.dims[1:]) if self.batch else value.dims

    def of_one(self, origin: OnnxNode, extents: Shape) -> Shape:
        """`extents` that `origin` gives, with a batch of one. Raises `UnsupportedError` where they have none."""
        if not self.batch:
            return extents
        if extents[:1] != (self.batch,):
            raise _moved(origin, extents, str(self.batch))
        return (1, *extents[1:])

    def const(self, name: str) -> np.ndarray | None:
        return self.consts.get(name)

    def rounded(self, name: str) -> np.ndarray:
        """A constant in the file's types: about what a runtime has there, and what its type is."""
        return self._rounded.get(name, self.consts[name])

    def off(self, name: str) -> float:
        """What the numbers of a constant may be off by, as a part of themselves."""
        return self._off.get(name, 0.0)

    def rounds(self, part: float) -> None:
        """Says that some constant of the graph may be off by such a part of itself."""
        self.rounding = max(self.rounding, part)

    def fold(
        self, name: str, exact: np.ndarray, rounded: np.ndarray, sources: Sequence[np.ndarray], off: float = 0.0
    ) -> None:
        """Says that `name` is a constant made of others, `off` by so much. Raises `InputError` where such take too much
        memory."""
        if off:
            self._off[name] = off
            self.rounds(_FACTORS * off)
        if exact.dtype.kind == "f":
            same = 2 * apart(exact, rounded) + off * float(np.finfo(self.dtype).eps) / (2 * ROUNDED)
            self.deployed = max(self.deployed, _FACTORS * same)
        held = [rounded] if np.array_equal(exact, rounded) else [exact, rounded]
        self._grow(sum(array.nbytes for array in held) - max(source.nbytes for source in sources))
        self.consts[name] = held[0]
        if len(held) > 1:
            self._rounded[name] = rounded

    def room(self, numbers: int, itemsize: int | None = None) -> None:
        """Raises `InputError` where an array of so many numbers, by default of the network's type, is too much."""
        if self._growth + numbers * (itemsize or self.dtype.itemsize) > MAX_GROWTH:
            raise InputError(
                f"the file's constants, evaluated and laid out, take more than {MAX_GROWTH} bytes beyond what it "
                "holds. Export it with constants folded, and check its sizes."
            )

    def _grow(self, more: int) -> None:
        self.room(max(0, more), 1)
        self._growth += max(0, more)

    def value(self, name: str) -> Value:
        if name in self.consts:
            raise UnsupportedError(
                f"the value {name!r} is a constant where a computed value is supported. Export the network again, with "
                "constants folded."
            )
        if name in self.pending:
            raise self.pending[name]
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
        """Appends a canonical node made from `origin`; the name of its value, one that the file does not have."""
        names = self.names
        self._grow(INDEX_BYTES * len((attrs or {}).get("indices", ())))
        name = names.fresh(f"{origin.outputs[0]}.{op.lower()}")
        label = names.own("node", origin.name) if origin.op == op else names.fresh(f"{origin.name}.{op.lower()}")
        node = Node(op, label, tuple(inputs), name, tuple(params), dict(attrs or {}))
        shape = value_shape(node, [self.shapes[i] for i in inputs], [self.params[p].shape for p in params])
        self.nodes.append(node)
        self.shapes[name] = shape
        self._parts.add(name)
        return name

    def reshape(self, origin: OnnxNode, value: str, shape: Shape) -> str:
        """`value` in another canonical shape; nothing is added where it has that shape already."""
        shape = shape or (1,)
        if self.shapes[value] == shape:
            return value
        if len(shape) == 1:
            return self.emit(origin, "Flatten", [value])
        return self.emit(origin, "Reshape", [value], attrs={"shape": shape})

    def bind(self, origin: OnnxNode, value: str, dims: Shape) -> None:
        """Says that the first output of `origin` is `value`, of shape `dims` in the file.

        The node that computes it, where it is the last one, takes the file's name for it.
        """
        if self.dynamic and (len(dims) < 2 or dims[0] != 1):
            raise _moved(origin, dims, "one")
        name, own = self.reshape(origin, value, self.without_batch(dims)), origin.outputs[0]
        if name in self._parts and self.nodes[-1].output == name:
            self.nodes[-1] = replace(self.nodes[-1], output=own)
            self.shapes[own] = self.shapes.pop(name)
            name = own
        self._parts.clear()
        self._values[own] = Value(name, dims)

    def param(self, origin: OnnxNode, hint: str, array: np.ndarray) -> str:
        """Stores a weight; equal ones of one hint are stored once, in the network's type where that holds them.

        hint: the file's name of an operand of `origin`, or what to name a new one like.
        """
        if array.dtype not in (np.float32, np.float64):
            raise refusal(
                origin,
                f"has a constant of type {array.dtype} where the input is {self.dtype}",
                f"Export the network in {self.dtype}",
            )
        own = hint in origin.inputs
        first = own and hint not in self._charged
        held = self.consts[hint].nbytes if first and hint in self.consts else 0
        self.room(array.size * self.dtype.itemsize - held, 1)  # what was only repeated takes no memory before
        if not np.isfinite(array).all():
            raise InputError(
                f"operator {origin.op} (node {origin.name!r}) has a weight ({hint!r}) with NaN or "
                "infinity in it: the network gives no usable outputs. Export a sound checkpoint."
            )
        narrow = array.astype(self.dtype, copy=False)
        array = narrow if np.array_equal(narrow, array) else array
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = (hint, own, array.shape, hashlib.sha256(array.data).digest())
        if key not in self._stored:
            self._grow(array.nbytes - held)
            if own:
                self._charged.add(hint)
            self._stored[key] = name = self.names.own("weight", hint) if own else self.names.fresh(hint)
            self.params[name] = array
        return self._stored[key]


def _moved(origin: OnnxNode, dims: Shape, batch: str) -> UnsupportedError:
    return refusal(
        origin,
        f"gives shape {list(dims)} for a batch of {batch}: it moves or drops the batch axis",
        "Keep the batch as the first axis",
    )


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
