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
from ..spec import Clause
from ..spec.query import inward


@dataclass(frozen=True)
class Group:
    """Clauses over one box. proof [n] float64 covers the exact box; attack [n] float32 lies inside it (and is empty
    where lower > upper somewhere). rows [C, M, K], offset [C, M] float64; a clause with fewer rows repeats its first,
    one with none has the row 0 · y - 1, which nothing proves positive.
    """

    clauses: tuple[Clause, ...]
    proof: Box
    attack: Box
    rows: Tensor
    offset: Tensor

    @property
    def attackable(self) -> bool:
        """Some float32 point lies inside the box."""
        return bool((self.attack.lower <= self.attack.upper).all())


def grouped(clauses: Sequence[Clause], outputs: int) -> list[Group]:
    """The clauses by box, in order of their first appearance; those with an empty box hold nothing and are left out."""
    together: dict[bytes, list[Clause]] = {}
    for clause in clauses:
        if (clause.lower <= clause.upper).all():
            ends = (clause.lower, clause.upper, *clause.inner)
            together.setdefault(b"".join(end.tobytes() for end in ends), []).append(clause)
    return [_group(tuple(members), outputs) for members in together.values()]


def _group(clauses: tuple[Clause, ...], outputs: int) -> Group:
    most = max(1, *(len(clause.rows) for clause in clauses))
    rows = np.zeros((len(clauses), most, outputs))
    offset = np.full((len(clauses), most), -1.0)
    for place, clause in enumerate(clauses):
        for number in range(most if clause.rows else 0):
            row = clause.rows[number if number < len(clause.rows) else 0]
            scale = max((abs(factor) for _, factor in row.terms), default=Fraction(1))
            offset[place, number] = float(row.offset / scale)
            for index, factor in row.terms:
                rows[place, number, index] = float(factor / scale)
    first = clauses[0]
    attack = Box(*(torch.from_numpy(end) for end in inward(*first.inner)))
    proof = Box(torch.from_numpy(first.lower), torch.from_numpy(first.upper))
    return Group(clauses, proof, attack, torch.from_numpy(rows), torch.from_numpy(offset))
