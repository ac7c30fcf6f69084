"""VNN-LIB 2: typed tensors with indices, `X[0,2]`, of one network; linear comparisons of inputs and outputs.

Entries are numbered through a network's tensors in the order of their declaration.
"""

import re
from collections.abc import Iterator

from .formula import Formula, asserted
from .signature import Signature, Tensor, indices, starts
from .terms import Lookup
from .text import Problem, unsupported
from .trees import Leaf, Tree, head, shown

_ELEMENT = re.compile(r"([A-Za-z]\w*)(?:\s*\[([^\]]*)\])?", re.ASCII)


def assertions(statements: Iterator[Tree], declared: Signature) -> Iterator[Formula]:
    """What each statement after the network's declaration asserts. Raises `Problem` where one is wrong."""
    lookup = _lookup(declared)
    for statement in statements:
        word, operands = head(statement, "a statement such as (assert ...)")
        if word != "assert":
            raise unsupported(statement.place, f"the statement {shown(word)} is not supported; supported: assert.")
        yield asserted(statement.place, operands, lookup)


def _lookup(declared: Signature) -> Lookup:
    tensors = {
        tensor.name: (tensor, first, of_output)
        for each, of_output in ((declared.inputs, False), (declared.outputs, True))
        for tensor, first in zip(each, starts(each), strict=False)
    }

    def variable(leaf: Leaf) -> int | None:
        match = _ELEMENT.fullmatch(leaf.text)
        if match is None or match[1] not in tensors:
            return None
        tensor, first, of_output = tensors[match[1]]
        index = first + _flat(tensor, indices(match[2] or ""), leaf)
        return ~index if of_output else index

    return variable


def _flat(tensor: Tensor, place: tuple[int, ...] | None, leaf: Leaf) -> int:
    """Row-major."""
    if place is None or len(place) != len(tensor.shape):
        expected = f"{len(tensor.shape)} indices" if tensor.shape else "no index"
        raise Problem(leaf.place, f"{shown(leaf.text)} needs {expected}: {tensor.name} has shape {list(tensor.shape)}.")
    index = 0
    for own, extent in zip(place, tensor.shape, strict=True):
        if own >= extent:
            raise Problem(leaf.place, f"{shown(leaf.text)} lies outside the shape {list(tensor.shape)}.")
        index = index * extent + own
    return index
