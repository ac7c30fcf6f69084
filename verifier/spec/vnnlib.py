"""VNN-LIB file, of version 1 or 2 -> `Query`: the straight line.

text -> statements, trees of parentheses -> formulas in exact rationals -> clauses
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from . import version1, version2
from .formula import Formula
from .normal_form import to_query
from .query import Query
from .signature import Signature, is_version2, signature
from .text import Problem, Source, read_source
from .trees import Tree, statements


def read_query(path: Path | str, inputs: int, outputs: int) -> Query:
    """The property in `path` (`.vnnlib`, or gzip'ed) of a network with so many inputs and outputs.

    Types of version 2 are all read as real numbers. Raises `InputError` where there is no property or it does not fit
    the network, `UnsupportedError` where it asks for what is not supported, both with the place.
    """
    source = read_source(Path(path))
    try:
        return to_query(_assertions(source, inputs, outputs), inputs, outputs, source.path)
    except Problem as problem:
        raise source.error(problem) from problem


def read_signature(path: Path | str) -> Signature | None:
    """What a file of version 2 declares; None for version 1, which knows inputs X_i and outputs Y_j only."""
    source = read_source(Path(path))
    try:
        return _opened(source)[0]
    except Problem as problem:
        raise source.error(problem) from problem


def _assertions(source: Source, inputs: int, outputs: int) -> Iterator[Formula]:
    declared, rest = _opened(source)
    if declared is None:
        return version1.assertions(rest, inputs, outputs)
    return version2.assertions(rest, declared, inputs, outputs)


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
    return signature(network), rest
