"""Steps of a network, as they are made from the file's nodes; and what a node's name stands for meanwhile."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .curves import Curve, Greatest, Unary
from .refusal import NotCovered
from .rounding import MOST_ENTRIES
from .steps import Array, Conv, Dense, Entrywise, Part


@dataclass(frozen=True)
class Variable:
    """A tensor that depends on the input, its shape in the file for a batch of one."""

    number: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


Value = Variable | Array  # constants are arrays
Step = Entrywise | Dense | Conv | Unary | Greatest


@dataclass
class Builder:
    """steps so far; sizes, names in the file and, for folding, the products behind each tensor."""

    floating: np.dtype
    steps: list[Step] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)  # of the affine steps behind it: a runtime may fold them into one
    folding: dict[int, int] = field(default_factory=dict)  # roundings of an entrywise step alone, by its output

    def tensor(self, size: int, products: int = 0) -> int:
        if not 0 < size <= MOST_ENTRIES:
            raise NotCovered(f"a tensor of {size} entries; 1 to {MOST_ENTRIES} are covered.")
        self.sizes.append(size)
        self.products.append(products)
        return len(self.sizes) - 1

    def moved(self, value: Variable, places: Array) -> Variable:
        """Entries of a value, by their places in it, in a new shape."""
        flat = places.reshape(-1)
        same = flat.size == value.size and bool((flat == np.arange(value.size)).all())
        if same:
            return Variable(value.number, places.shape)
        part = Part(value.size, None, flat, None)
        return self.entrywise([value], [part], places.shape)

    def entrywise(
        self, values: list[Variable], parts: list[Part], shape: tuple[int, ...], bias: Array | None = None,
        bias_size: Array | None = None, products: int = 0,
    ) -> Variable:  # fmt: skip
        behind = max(self.products[value.number] for value in values)
        output = self.tensor(math.prod(shape), behind + products)
        if bias is not None and bias_size is None:
            bias_size = np.abs(bias)
        counted = self.products[output] if products else 0
        self.folding[output] = products
        inputs = tuple(value.number for value in values)
        self.steps.append(Entrywise(inputs, output, self.sizes[output], tuple(parts), counted, bias, bias_size))
        return Variable(output, shape)

    def dense(self, value: Variable, weights: Array, bias: Array | None, shape: tuple[int, ...]) -> Variable:
        """value's last axis times weights [k, m]; bias [m] or of the output's shape."""
        self._finite(weights, bias)
        output = self.tensor(math.prod(shape), len(weights))
        own = None if bias is None else np.broadcast_to(bias, shape).reshape(-1).astype(np.float64)
        self.steps.append(Dense((value.number,), output, weights, own, None if own is None else np.abs(own)))
        return Variable(output, shape)

    def conv(self, step: Conv, shape: tuple[int, ...]) -> Variable:
        self._finite(step.weights, step.bias)
        self.steps.append(step)
        return Variable(step.output, shape)

    def unary(self, value: Variable, curve: Curve) -> Variable:
        output = self.tensor(value.size)
        self.steps.append(Unary(value.number, output, curve))
        return Variable(output, value.shape)

    def greatest(self, value: Variable, groups: Array, shape: tuple[int, ...]) -> Variable:
        output = self.tensor(math.prod(shape))
        self.steps.append(Greatest(value.number, output, groups))
        return Variable(output, shape)

    def _finite(self, *arrays: Array | None) -> None:
        if not all(array is None or np.isfinite(array).all() for array in arrays):
            raise NotCovered("a weight is infinite or NaN.")


@dataclass(frozen=True)
class Node:
    """A node of the file: its operator, its attributes, the version of its domain's operators."""

    op: str
    attributes: Mapping[str, Any]
    opset: int
    outputs: int

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def refuse(self, why: str) -> NotCovered:
        return NotCovered(f"{self.op}: {why}")

    def only(self, *names: str) -> None:
        """Raises NotCovered where there is an attribute of another name."""
        other = sorted(set(self.attributes) - set(names))
        if other:
            raise self.refuse(f"the attribute {other[0]!r} is not covered.")


def variable(node: Node, value: Value | None) -> Variable:
    if not isinstance(value, Variable):
        raise node.refuse("it is covered where it reads what depends on the input, here it reads a constant.")
    return value


def constant(node: Node, value: Value | None, what: str) -> Array:
    if not isinstance(value, np.ndarray):
        raise node.refuse(f"{what} must be a constant.")
    return value


def numbers(node: Node, builder: Builder, value: Value | None, what: str) -> Array:
    """A constant of the file's own numbers, in float64."""
    found = constant(node, value, what)
    if found.dtype != builder.floating:
        raise node.refuse(f"{what} is of {found.dtype}, the network computes in {builder.floating}.")
    if not np.isfinite(found).all():
        raise node.refuse(f"{what} holds infinity or NaN.")
    return found.astype(np.float64)


def whole(node: Node, value: Value | None, what: str) -> list[int]:
    found = constant(node, value, what)
    if not np.issubdtype(found.dtype, np.integer) or found.size > 64:
        raise node.refuse(f"{what} must be a few whole numbers.")
    return [int(part) for part in found.reshape(-1)]
