"""A property of a network that ends in Softmax, LogSoftmax or ArgMax, read on its logits y.

    softmax(y)_i <= softmax(y)_j     <=>   y_i <= y_j
    c · logsoftmax(y) + d <= 0       <=>   c · y + d <= 0                      where the factors c sum to 0
    argmax(y) in S                    =>   for some k in S: y_j <= y_k for all j not in S

Relations of inputs stay as they are, and so does what a LogSoftmax is compared with. The last is an equivalence but for
ties, which float32 may settle either way: so they count as inside S.
"""

from collections.abc import Callable
from fractions import Fraction

from ..errors import UnsupportedError
from .query import Clause, Query, Row

MAX_NUMBERS = 2**26  # in the rows of one clause, written out

Conjunction = tuple[Row, ...]


def on_logits(clause: Clause, ending: str | None, logits: int) -> list[Conjunction]:
    """Rows over so many logits; the clause's rows hold of the file's outputs only where one conjunction holds.

    Raises `UnsupportedError` where they ask for more than the order of the logits tells.
    """
    return [clause.rows] if ending is None else _READINGS[ending](clause.rows, logits)


def check_readable(query: Query, ending: str | None, logits: int) -> None:
    """Raises `UnsupportedError` where `on_logits` would."""
    if ending is not None:
        for clause in query.clauses:
            on_logits(clause, ending, logits)


def _softmax(rows: Conjunction, logits: int) -> list[Conjunction]:
    for row in rows:
        same = not (row.offset or row.inputs or sum(factor for _, factor in row.terms))
        if row.terms and (len(row.terms) != 2 or not same):
            raise _refusal(
                "Softmax", row, "comparisons of two outputs, such as (<= Y_0 Y_1), whose order Softmax keeps"
            )
    return [rows]


def _log_softmax(rows: Conjunction, logits: int) -> list[Conjunction]:
    for row in rows:
        if sum(factor for _, factor in row.terms):
            raise _refusal(
                "LogSoftmax", row, "comparisons of differences, such as (<= (- Y_0 Y_1) 0.5), which LogSoftmax keeps"
            )
    return [rows]


def _argmax(rows: Conjunction, logits: int) -> list[Conjunction]:
    relations, rows = tuple(row for row in rows if row.is_relation), tuple(row for row in rows if not row.is_relation)
    for row in rows:
        if row.inputs:
            raise _refusal("ArgMax", row, "comparisons of its output with numbers, such as (<= Y_0 1)")
    inside = [k for k in range(logits) if all(_holds(row, k) for row in rows)]
    outside = sorted(set(range(logits)) - set(inside))
    if not outside:
        return [relations]
    if len(inside) * len(outside) * logits > MAX_NUMBERS:
        raise UnsupportedError(
            f"the property names {len(inside)} of the {logits} classes of an ArgMax, which takes more than "
            f"{MAX_NUMBERS} numbers to write out. Split it into properties of fewer classes."
        )
    return [(*relations, *(Row(((j, Fraction(1)), (k, Fraction(-1))), Fraction(0)) for j in outside)) for k in inside]


def _holds(row: Row, answer: int) -> bool:
    value = row.offset + sum((factor * answer for _, factor in row.terms), Fraction(0))
    return value < 0 or (value == 0 and not row.strict)


def _refusal(ending: str, row: Row, supported: str) -> UnsupportedError:
    named = [*(("Y", *term) for term in row.terms), *(("X", *term) for term in row.inputs)]
    terms = [f"{float(factor):g} {letter}_{index}" for letter, index, factor in named[:3]]
    shown = " + ".join([*terms, *(["..."] if len(named) > 3 else []), f"{float(row.offset):g}"])
    return UnsupportedError(
        f"the network ends in {ending}, and the property asks whether {shown} {'<' if row.strict else '<='} 0; "
        f"supported of {ending}: {supported}. State it so, or export the logits and state it on them."
    )


_READINGS: dict[str, Callable[[Conjunction, int], list[Conjunction]]] = {
    "ArgMax": _argmax,
    "LogSoftmax": _log_softmax,
    "Softmax": _softmax,
}
