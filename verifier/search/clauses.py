"""Regions and their clauses as arrays; of a query its boxes, each once, and for every box the clauses that share it, as
rows to prove positive.

A clause c · y + a · x + d <= 0 (all its rows at once) is refuted where one row, or a combination of rows with factors
>= 0, is positive on the whole box. Rows are scaled so that their largest factor is 1, which changes no sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from ..answer import Witness
from ..engine.ball import CutBall
from ..engine.plan import Array
from ..errors import UnsupportedError
from ..functions import Box
from ..spec import Clause, Row
from ..spec.logits import on_logits
from ..spec.settle import Settler, settlers

_ROWS = 4 * 8  # bytes of a number in the rows of all groups, written out: kept, padded, in float32


class LabelledInput(Protocol):
    """x [n] as given, and whether a runtime is fed these very numbers."""

    @property
    def x(self) -> Array: ...
    @property
    def given(self) -> bool: ...
    def witness(self, point: Array) -> Witness | None:
        """Near a point [n] of the attack's box, where onnxruntime does not keep what the input is to keep."""


@dataclass(frozen=True)
class Group:
    """Clauses over one region: a box, or the part of it that a ball is cut to.

    attack [n], in the runtime's type: what the inputs are fed (`Clause.fed`), empty where lower > upper somewhere;
    proof [n] float64 covers that and the exact box. rows [C, M, K], offset [C, M] float64 over the graph's outputs,
    where each of the C holds unless refuted; one with fewer rows repeats its first, one with none has the row
    0 · y - 1, which nothing proves positive. exact: these C in the numbers of the text, none spelled out. clauses: the
    same as the query has them, over the file's inputs and outputs. alive [C]: those that nothing has refuted yet.
    settlers [C]: what moves points of the attack's box to where each one's relations of inputs hold, if it has any.
    ball: of the proof, and attacked: in the attack's box and type. labelled: of a labelled input, in place of clauses,
    what makes a point of the attack's box a counterexample.
    """

    clauses: tuple[Clause, ...]
    proof: Box
    attack: Box
    rows: Array
    offset: Array
    exact: tuple[tuple[Row, ...], ...]

    alive: Array
    settlers: tuple[Settler | None, ...]
    ball: CutBall | None = None
    attacked: CutBall | None = None
    labelled: LabelledInput | None = None

    def exact_ends(self) -> tuple[list[Fraction], list[Fraction]]:
        """The exact box, with what its inputs are fed."""
        if not self.clauses:
            return [Fraction(end) for end in self.proof.lower.tolist()], [
                Fraction(end) for end in self.proof.upper.tolist()
            ]
        clause, ends = self.clauses[0], (list[Fraction](), list[Fraction]())
        for index, (lower, upper) in enumerate(zip(clause.lower.tolist(), clause.upper.tolist(), strict=True)):
            low, high = Fraction(lower), Fraction(upper)
            if index in clause.exact:
                low, high = max(low, clause.exact[index].lower), min(high, clause.exact[index].upper)
            if index in clause.between:
                low, high = (
                    min(low, Fraction(float(clause.fed[0][index]))),
                    max(high, Fraction(float(clause.fed[1][index]))),
                )
            ends[0].append(low)
            ends[1].append(high)
        return ends

    @property
    def attackable(self) -> bool:
        """There is a float32 point to be fed."""
        return bool((self.attack.lower <= self.attack.upper).all())


def grouped(
    clauses: Sequence[Clause], outputs: int, ending: str | None, memory: int, inputs: Sequence[int] = ()
) -> list[Group]:
    """The clauses by box, in order of their first appearance; those that hold nothing (with an empty box, or of an
    ArgMax without such a class) are left out. outputs: of the network, which the file's `ending` follows; inputs: those
    that follow them among the graph's outputs (`graph.extended`), all that rows name.

    Raises `UnsupportedError` where a clause cannot be read before the ending, or all take more than `memory` bytes.
    """
    together: dict[tuple[bytes, int], list[tuple[Clause, list[tuple[Row, ...]]]]] = {}
    for clause in clauses:
        read = on_logits(clause, ending, outputs)
        if read and (clause.lower <= clause.upper).all():
            ends = (clause.lower, clause.upper, *clause.inner)
            key = b"".join(end.tobytes() for end in ends), id(clause.exact) if clause.exact else 0
            together.setdefault(key, []).append((clause, read))
    found = [[(clause, rows) for clause, own in part for rows in own] for part in together.values()]
    count = max((len(read) for read in found), default=0)
    most = max((len(rows) for read in found for _, rows in read), default=0)
    columns = outputs + len(inputs)
    needed = len(found) * count * max(1, most) * columns * _ROWS
    if needed > memory:
        raise UnsupportedError(
            f"the property has {len(found)} boxes, up to {count} cases in each and up to {most} comparisons in each of "
            f"these, of {columns} outputs and inputs: that takes {-(-needed // 2**20)} MiB of the {memory // 2**20} "
            "allowed. Give more with --memory, or split it into several files."
        )
    column = {index: outputs + place for place, index in enumerate(inputs)}
    return [_group(read, columns, column) for read in found]


def _group(read: list[tuple[Clause, tuple[Row, ...]]], columns: int, column: dict[int, int]) -> Group:
    clauses = [clause for clause, _ in read]
    exact = tuple(tuple(_of_outputs(row, column) for row in own) for _, own in read)
    first, most = clauses[0], max(1, *map(len, exact))
    rows = np.zeros((len(read), most, columns))
    offset = np.full((len(read), most), -1.0)
    for place, own in enumerate(exact):
        for number in range(most if own else 0):
            row = own[number if number < len(own) else 0]
            scale = max((abs(factor) for _, factor in row.terms), default=Fraction(1))
            offset[place, number] = float(row.offset / scale)
            for index, factor in row.terms:
                rows[place, number, index] = float(factor / scale)
    fed, apart = first.fed, list(first.between)
    lower, upper = first.lower.copy(), first.upper.copy()
    lower[apart] = np.minimum(lower, fed[0])[apart]
    upper[apart] = np.maximum(upper, fed[1])[apart]
    return Group(
        clauses=tuple({id(own): own for own in clauses}.values()),
        proof=Box(lower, upper),
        attack=Box(*fed),
        rows=rows,
        offset=offset,
        exact=exact,
        alive=np.ones(len(read), bool),
        settlers=tuple(settlers(clauses, *fed)),
    )


def _of_outputs(row: Row, column: dict[int, int]) -> Row:
    """With its inputs among the outputs."""
    return Row((*row.terms, *((column[index], factor) for index, factor in row.inputs)), row.offset, row.strict)
