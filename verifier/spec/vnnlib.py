"""VNN-LIB file -> `Query`: the straight line.

text -> statements, trees of parentheses -> formulas in exact rationals -> clauses
"""

from pathlib import Path

from . import version1
from .normal_form import to_query
from .query import Query
from .text import Problem, read_source
from .trees import statements


def read_query(path: Path | str, inputs: int, outputs: int) -> Query:
    """The property in `path` (`.vnnlib`, or gzip'ed) of a network with so many inputs and outputs.

    Raises `InputError` where there is none or it does not fit the network, `UnsupportedError` where it asks for what
    is not supported, both with the place.
    """
    source = read_source(Path(path))
    try:
        return to_query(version1.assertions(statements(source.text), inputs, outputs), inputs, outputs, source.path)
    except Problem as problem:
        raise source.error(problem) from problem
