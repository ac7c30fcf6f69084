"""VNN-LIB file, of version 1 or 2 -> `Query`: the straight line.

text -> statements, trees of parentheses -> formulas in exact rationals -> clauses
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from ..errors import GlscertError
from . import version1, version2
from .formula import Formula
from .normal_form import to_query
from .query import Query
from .signature import Signature, check_fits, is_version2, signature
from .text import Problem, Source, read_source, unsupported
from .trees import Leaf, Tree, statements

Held = tuple[Mapping[str, int], Mapping[str, int]]
_INPUT = re.compile(r"\(\s*declare-(?:const|fun)\s+X_(\d{1,12})\b")


def read_query(path: Path | str | Source, inputs: int, outputs: int, held: Held | None = None) -> Query:
    """The property in `path` (`.vnnlib`, or gzip'ed; or its text) of a network with so many inputs and outputs.

    held: the sizes of the tensors that hold them, by name, as the network's file has them. Types of version 2 are all
    read as real numbers. Raises `InputError` where there is no property or it does not fit the network,
    `UnsupportedError` where it asks for what is not supported, both with the place.
    """
    source = path if isinstance(path, Source) else read_source(Path(path))
    try:
        return to_query(_assertions(source, inputs, outputs, held), inputs, outputs, source.path)
    except Problem as problem:
        raise source.error(problem) from problem


def read_signature(path: Path | str) -> Signature | None:
    """What a file of version 2 declares; None for version 1, which knows inputs X_i and outputs Y_j only."""
    source = read_source(Path(path))
    try:
        return _opened(source)[0]
    except Problem as problem:
        raise source.error(problem) from problem


def count_inputs(path: Path | str) -> int | None:
    """How many inputs the property in `path` declares, at a glance; None where it cannot be read."""
    try:
        source = read_source(Path(path))
        declared, _ = _opened(source)
    except (GlscertError, Problem):
        return None
    if declared is not None:
        return sum(tensor.size for tensor in declared.inputs)
    return len({match[1] for match in _INPUT.finditer(source.text)})


def _assertions(source: Source, inputs: int, outputs: int, held: Held | None) -> Iterator[Formula]:
    declared, rest = _opened(source)
    if declared is None:
        return version1.assertions(rest, inputs, outputs)
    check_fits(declared.inputs, inputs, "inputs", held and held[0])
    check_fits(declared.outputs, outputs, "outputs", held and held[1])
    return version2.assertions(rest, declared)


def _opened(source: Source) -> tuple[Signature | None, Iterator[Tree]]:
    """The declarations of version 2, where it is that, and the statements after them."""
    rest = statements(source.text)
    first = next(rest, None)
    if first is None:
        raise Problem(0, "this file says nothing. Give a VNN-LIB file.")
    if not is_version2(first):
        return None, chain((first,), rest)
    network = next(rest, None)
    if network is None:
        raise Problem(len(source.text), "expected a declaration of the network, found the end of the file.")
    declared, after = signature(network), next(rest, None)
    if after is None:
        return declared, rest
    if after.items and isinstance(after.items[0], Leaf) and after.items[0].text == "declare-network":
        raise unsupported(
            after.place,
            "a second network is declared, and comparing two networks is not supported yet; supported: a query about "
            "one network. Ask about each by itself.",
        )
    return declared, chain((after,), rest)
