"""A query as tensors: its boxes, each once, and for every box the clauses that share it, as rows to prove positive.

A clause c · y + a · x + d <= 0 (all its rows at once) is refuted where one row, or a combination of rows with factors
>= 0, is positive on the whole box. Rows are scaled so that their largest factor is 1, which changes no sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ..bounds import Box
from ..errors import UnsupportedError
from ..spec import Clause, Row
from ..spec.logits import on_logits
from ..spec.query import inward
from ..spec.settle import Settler, settlers

MAX_NUMBERS = 2**27  # in the rows of all groups, written out


@dataclass(frozen=True)
class Group:
    """Clauses over one box. proof [n] float64 covers the exact box; attack [n] float32 lies inside it (and is empty
    where lower > upper somewhere). rows [C, M, K], offset [C, M] float64 over the graph's outputs, where each of the C
    holds unless refuted; one with fewer rows repeats its first, one with none has the row 0 · y - 1, which nothing
    proves positive. clauses: the same as the query has them, over the file's outputs. settlers [C]: what moves points
    of the attack's box to where each one's relations of inputs hold, if it has any.
    """

    clauses: tuple[Clause, ...]
    proof: Box
    attack: Box
    rows: Tensor
    offset: Tensor
    settlers: tuple[Settler | None, ...]

    @property
    def attackable(self) -> bool:
        """Some float32 point lies inside the box."""
        return bool((self.attack.lower <= self.attack.upper).all())


def grouped(
    clauses: Sequence[Clause], outputs: int, ending: str | None = None, inputs: Sequence[int] = ()
) -> list[Group]:
    """The clauses by box, in order of their first appearance; those that hold nothing (with an empty box, or of an
    ArgMax without such a class) are left out. outputs: of the network, which the file's `ending` follows; inputs: those
    that follow them among the graph's outputs (`graph.extended`), all that rows name.

    Raises `UnsupportedError` where a clause cannot be read before the ending, or all take too much memory.
    """
    together: dict[bytes, list[tuple[Clause, list[tuple[Row, ...]]]]] = {}
    for clause in clauses:
        read = on_logits(clause, ending, outputs)
        if read and (clause.lower <= clause.upper).all():
            ends = (clause.lower, clause.upper, *clause.inner)
            together.setdefault(b"".join(end.tobytes() for end in ends), []).append((clause, read))
    found = [[(clause, rows) for clause, own in part for rows in own] for part in together.values()]
    count = max((len(read) for read in found), default=0)
    most = max((len(rows) for read in found for _, rows in read), default=0)
    columns = outputs + len(inputs)
    if len(found) * count * max(1, most) * columns > MAX_NUMBERS:
        raise UnsupportedError(
            f"the property has {len(found)} boxes, up to {count} cases in each and up to {most} comparisons in each of "
            f"these, of {columns} outputs and inputs: more than {MAX_NUMBERS} numbers. Split it into several files."
        )
    column = {index: outputs + place for place, index in enumerate(inputs)}
    return [_group(read, columns, column) for read in found]


def _group(read: list[tuple[Clause, tuple[Row, ...]]], columns: int, column: dict[int, int]) -> Group:
    most = max(1, *(len(own) for _, own in read))
    rows = np.zeros((len(read), most, columns))
    offset = np.full((len(read), most), -1.0)
    for place, (_, own) in enumerate(read):
        for number in range(most if own else 0):
            row = own[number if number < len(own) else 0]
            terms = [*row.terms, *((column[index], factor) for index, factor in row.inputs)]
            scale = max((abs(factor) for _, factor in terms), default=Fraction(1))
            offset[place, number] = float(row.offset / scale)
            for index, factor in terms:
                rows[place, number, index] = float(factor / scale)
    clauses = [clause for clause, _ in read]
    first = clauses[0]
    attack = Box(*(torch.from_numpy(end) for end in inward(*first.inner)))
    proof = Box(torch.from_numpy(first.lower), torch.from_numpy(first.upper))
    settling = settlers(clauses, *(end.numpy() for end in attack))
    distinct = tuple({id(clause): clause for clause in clauses}.values())
    return Group(distinct, proof, attack, torch.from_numpy(rows), torch.from_numpy(offset), tuple(settling))
