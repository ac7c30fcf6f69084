"""What a VNN-LIB 2 file declares: a network with one input tensor and one output tensor."""

from math import prod
from typing import NamedTuple

from .text import Problem, unsupported
from .trees import Leaf, Tree, head, shown

TYPES = ("Real", "real", "float32", "float64")
_EXAMPLE = "(declare-network f (declare-input X Real [1,5]) (declare-output Y Real [1,5]))"


class Tensor(NamedTuple):
    """A declared variable; a scalar has no `shape`."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape)


class Signature(NamedTuple):
    network: str
    input: Tensor
    output: Tensor


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
    """The declarations of a `declare-network`. Raises `Problem` for more than one input and one output."""
    word, operands = head(statement, "a declaration of the network")
    if word != "declare-network" or not operands or not isinstance(operands[0], Leaf):
        raise Problem(statement.place, f"expected a declaration such as {_EXAMPLE}.")
    found: dict[str, list[Tensor]] = {"declare-input": [], "declare-output": []}
    for operand in operands[1:]:
        kind, _ = head(operand, "a declaration of an input or output")
        if kind not in found:
            raise unsupported(
                operand.place, f"{shown(kind)} is not supported; supported: one network of one input and one output."
            )
        found[kind].append(_tensor(operand))
    for kind, tensors in found.items():
        if len(tensors) != 1:
            raise unsupported(
                statement.place, f"the network has {len(tensors)} of {kind}; supported: exactly one, as in {_EXAMPLE}."
            )
    (input,), (output,) = found.values()
    if input.name == output.name:
        raise Problem(statement.place, f"input and output are both called {shown(input.name)}.")
    return Signature(operands[0].text, input, output)


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
    return Tensor(words[1], type.strip(), shape)
