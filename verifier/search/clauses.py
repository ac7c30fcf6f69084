"""A query as tensors: its boxes, each once, and for every box the clauses that share it, as rows to prove positive.

A clause c · y + d <= 0 (all its rows at once) is refuted where one row, or a combination of rows with factors >= 0, is
positive on the whole box. Rows are scaled so that their largest factor is 1, which changes no sign.
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

MAX_NUMBERS = 2**27  # in the rows of all groups, written out


@dataclass(frozen=True)
class Group:
    """Clauses over one box. attack [n] float32: what the inputs are fed (`Clause.fed`), empty where lower > upper
    somewhere; proof [n] float64 covers that and the exact box. rows [C, M, K], offset [C, M] float64 over the graph's
    outputs, where each of the C holds unless refuted; one with fewer rows repeats its first, one with none has the row
    0 · y - 1, which nothing proves positive. exact: these C in the numbers of the text, none spelled out. clauses: the
    same as the query has them, over the file's outputs. alive [C]: those that nothing has refuted yet.
    """

    clauses: tuple[Clause, ...]
    proof: Box
    attack: Box
    rows: Tensor
    offset: Tensor
    exact: tuple[tuple[Row, ...], ...]

    alive: Tensor

    def exact_ends(self) -> tuple[list[Fraction], list[Fraction]]:
        """The exact box, with what its inputs are fed."""
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


def grouped(clauses: Sequence[Clause], outputs: int, ending: str | None = None) -> list[Group]:
    """The clauses by box, in order of their first appearance; those that hold nothing (with an empty box, or of an
    ArgMax without such a class) are left out. outputs: of the graph, which the file's `ending` follows.

    Raises `UnsupportedError` where a clause cannot be read before the ending, or all take too much memory.
    """
    together: dict[tuple[bytes, int], list[tuple[Clause, list[tuple[Row, ...]]]]] = {}
    for clause in clauses:
        read = on_logits(clause, ending, outputs)
        if read and (clause.lower <= clause.upper).all():
            ends = (clause.lower, clause.upper, *clause.inner)
            key = b"".join(end.tobytes() for end in ends), id(clause.exact) if clause.exact else 0
            together.setdefault(key, []).append((clause, read))
    found = [([clause for clause, _ in part], [rows for _, own in part for rows in own]) for part in together.values()]
    count = max((len(read) for _, read in found), default=0)
    most = max((len(rows) for _, read in found for rows in read), default=0)
    if len(found) * count * max(1, most) * outputs > MAX_NUMBERS:
        raise UnsupportedError(
            f"the property has {len(found)} boxes, up to {count} cases in each and up to {most} comparisons in each of "
            f"these, of {outputs} outputs: more than {MAX_NUMBERS} numbers. Split it into several files."
        )
    return [_group(tuple(members), read, outputs) for members, read in found]


def _group(clauses: tuple[Clause, ...], read: list[tuple[Row, ...]], outputs: int) -> Group:
    most = max(1, *(len(own) for own in read))
    rows = np.zeros((len(read), most, outputs))
    offset = np.full((len(read), most), -1.0)
    for place, own in enumerate(read):
        for number in range(most if own else 0):
            row = own[number if number < len(own) else 0]
            scale = max((abs(factor) for _, factor in row.terms), default=Fraction(1))
            offset[place, number] = float(row.offset / scale)
            for index, factor in row.terms:
                rows[place, number, index] = float(factor / scale)
    first = clauses[0]
    fed, apart = first.fed, list(first.between)
    lower, upper = first.lower.copy(), first.upper.copy()
    lower[apart] = np.minimum(lower, fed[0])[apart]
    upper[apart] = np.maximum(upper, fed[1])[apart]
    attack, proof = (Box(*map(torch.from_numpy, ends)) for ends in (fed, (lower, upper)))
    alive = torch.ones(len(read), dtype=torch.bool)
    return Group(clauses, proof, attack, torch.from_numpy(rows), torch.from_numpy(offset), tuple(read), alive)
