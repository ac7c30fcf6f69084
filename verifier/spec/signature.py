"""What a VNN-LIB 2 file declares: a network with its input tensors and its output tensors."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import NamedTuple

from .text import Problem, unsupported
from .trees import Leaf, Tree, head, shown

TYPES = ("Real", "real", "float32", "float64")
_EXAMPLE = "(declare-network f (declare-input X Real [1,5]) (declare-output Y Real [1,5]))"


class Tensor(NamedTuple):
    """A declared variable; a scalar has no `shape`. onnx: its name in the network's file, where the query states it."""

    name: str
    type: str
    shape: tuple[int, ...]
    onnx: str | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)


class Signature(NamedTuple):
    """Entries are counted through the inputs, and through the outputs, in this order, which is that of the file."""

    network: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def is_version2(statement: Tree) -> bool:
    """Whether a file that begins with this statement is of VNN-LIB 2. Raises `Problem` for a later one."""
    first = statement.items[0] if statement.items else None
    if not isinstance(first, Leaf) or first.text != "vnnlib-version":
        return False
    versions = [item.text for item in statement.items[1:] if isinstance(item, Leaf)]
    if len(versions) != 1 or not versions[0].startswith("<2.") or not versions[0].endswith(">"):
        raise unsupported(
            statement.place, f"VNN-LIB version {' '.join(versions) or 'unknown'}; supported: 1 and <2.0>."
        )
    return True


def signature(statement: Tree) -> Signature:
    """The declarations of a `declare-network`. Raises `Problem` where there is no input, no output or a name twice."""
    word, operands = head(statement, "a declaration of the network")
    if word != "declare-network" or not operands or not isinstance(operands[0], Leaf):
        raise Problem(statement.place, f"expected a declaration such as {_EXAMPLE}.")
    found: dict[str, list[Tensor]] = {"declare-input": [], "declare-output": []}
    for operand in operands[1:]:
        kind, _ = head(operand, "a declaration of an input or output")
        if kind not in found:
            raise unsupported(
                operand.place,
                f"{shown(kind)} is not supported; supported: declare-input and declare-output.",
            )
        found[kind].append(_tensor(operand))
    for kind, tensors in found.items():
        if not tensors:
            raise Problem(statement.place, f"the network has no {kind}; write one or more, as in {_EXAMPLE}.")
    inputs, outputs = (tuple(tensors) for tensors in found.values())
    called = [tensor.name for tensor in (*inputs, *outputs)]
    twice = next((name for name in called if called.count(name) > 1), None)
    if twice is not None:
        raise Problem(statement.place, f"two tensors are both called {shown(twice)}.")
    return Signature(operands[0].text, inputs, outputs)


def starts(tensors: Sequence[Tensor]) -> list[int]:
    """Where each tensor's entries begin, and at last how many there are."""
    return [0, *accumulate(tensor.size for tensor in tensors)]


def check_fits(tensors: Sequence[Tensor], count: int, kind: str, held: Mapping[str, int] | None) -> None:
    """Raises `Problem` where a network with so many entries, `held` by tensors of these names and sizes, has others.

    kind: inputs or outputs.
    """
    total = sum(tensor.size for tensor in tensors)
    if total != count:
        names, has = ", ".join(tensor.name for tensor in tensors), "has" if len(tensors) == 1 else "have"
        raise Problem(
            0, f"{names} {has} {total} elements, but the network has {count} {kind}. Give the network of this file."
        )
    if held is None or (len(tensors) == 1 and len(held) == 1):
        return
    own = [f"{name} of {size}" for name, size in held.items()]
    named = [tensor.onnx for tensor in tensors if tensor.onnx is not None]
    if [tensor.size for tensor in tensors] != list(held.values()) or (named and named != list(held)):
        declared = [f"{tensor.onnx or tensor.name} of {tensor.size}" for tensor in tensors]
        raise Problem(
            0,
            f"the {kind} declared are {', '.join(declared)}, but the network has {', '.join(own)}. Declare them as the "
            "network has them, in its order.",
        )


def indices(text: str) -> "tuple[int, ...] | None":
    """`0, 2` as numbers; None where it is no such list."""
    parts = text.split(",") if text.strip() else []
    if not all(part.strip().isascii() and part.strip().isdigit() and len(part) < 20 for part in parts):
        return None
    return tuple(map(int, parts))


def _tensor(declaration: "Tree | Leaf") -> Tensor:
    """Of `(declare-input X Real [1,5])`, with or without the tensor's name in the file."""
    words = [item.text for item in declaration.items if isinstance(item, Leaf)] if isinstance(declaration, Tree) else []
    if len(words) not in (3, 4) or (len(words) == 4 and words[3][0] != '"'):
        raise Problem(declaration.place, f"expected a tensor's name, type and shape, as in {_EXAMPLE}.")
    type, bracket, rest = words[2].partition("[")
    shape = indices(rest.rstrip("]"))
    if not bracket or shape is None or 0 in shape:
        raise Problem(declaration.place, f"expected a shape such as [1,5] after the type, as in {_EXAMPLE}.")
    if type.strip() not in TYPES:
        raise unsupported(
            declaration.place, f"the type {shown(type.strip())} is not supported; supported: {', '.join(TYPES)}."
        )
    return Tensor(words[1], type.strip(), shape, words[3].strip('"') if len(words) == 4 else None)
