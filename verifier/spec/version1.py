"""VNN-LIB 1: `(declare-const X_0 Real)` and assertions over X_i and Y_j."""

import re
from collections.abc import Iterator

from .formula import Formula, asserted
from .terms import Lookup
from .text import Problem, unsupported
from .trees import Leaf, Tree, head, shown

_VARIABLE = re.compile(r"([XY])_(0|[1-9]\d{0,11})")
_IGNORED = ("set-logic", "set-info", "set-option", "check-sat", "get-model", "exit")


def assertions(statements: Iterator[Tree], inputs: int, outputs: int) -> Iterator[Formula]:
    """What each statement asserts. Raises `Problem` where one is wrong, or the file fits no network of this size."""
    counts = {"X": inputs, "Y": outputs}
    declared = {letter: bytearray(count) for letter, count in counts.items()}
    lookup = _lookup(declared)
    last = 0
    for statement in statements:
        last = statement.place
        word, operands = head(statement, "a statement such as (assert ...)")
        if word == "assert":
            yield asserted(statement.place, operands, lookup)
        elif word in ("declare-const", "declare-fun"):
            letter, index, place = _declaration(statement)
            if index >= counts[letter]:
                raise Problem(place, f"{letter}_{index} is declared, {_has(letter, counts[letter])}.")
            if declared[letter][index]:
                raise Problem(place, f"{letter}_{index} is declared twice.")
            declared[letter][index] = 1
        elif word not in _IGNORED:
            raise unsupported(last, f"the statement {shown(word)} is not supported; supported: declare-const, assert.")
    for letter, found in declared.items():
        if 0 in found:
            raise Problem(last, f"{letter}_{found.index(0)} is not declared, {_has(letter, counts[letter])}.")


def _has(letter: str, count: int) -> str:
    kind = "inputs" if letter == "X" else "outputs"
    return f"but the network has {count} {kind}, {letter}_0 to {letter}_{count - 1}. Give the network of this file"


def _declaration(statement: Tree) -> tuple[str, int, int]:
    """Letter, index and place of `(declare-const X_0 Real)` or `(declare-fun X_0 () Real)`."""
    words = [item for item in statement.items if isinstance(item, Leaf)]
    variable = _VARIABLE.fullmatch(words[1].text) if len(words) == 3 else None
    if variable is None or words[2].text != "Real":
        raise Problem(
            statement.place, "expected a declaration of an input or output, such as (declare-const X_0 Real)."
        )
    return variable[1], int(variable[2]), words[1].place


def _lookup(declared: dict[str, bytearray]) -> Lookup:
    def variable(leaf: Leaf) -> int | None:
        match = _VARIABLE.fullmatch(leaf.text)
        if match is None:
            return None
        index, known = int(match[2]), declared[match[1]]
        if index >= len(known) or not known[index]:
            return None
        return index if match[1] == "X" else ~index

    return variable
