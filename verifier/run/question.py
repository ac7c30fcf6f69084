"""What is asked of a network: regions of its inputs, and for each the clauses that must not hold anywhere there.

A VNN-LIB query and a labelled input are the same question: is there a point of a region where all rows of some clause
are at most zero? `spec` and `search.clauses` make it of a query, `labelled` of inputs with labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from ..answer import Answer, Verdict, Witness
from ..search.clauses import Group

FEW_INPUTS = 20  # free ones, for input splitting


@dataclass(frozen=True, eq=False)
class Question:
    """groups: its regions and clauses. timeout: seconds that it may take of the work. key: what answers are told by.
    spent: seconds before the first stage."""

    key: int
    groups: Sequence[Group]
    timeout: float
    spent: float = 0.0


class Case:
    """A question on its way to an answer.

    seconds: its share of the work so far. visited: subdomains bounded. bound: the lowest of what is open. proved: the
    lowest of what is closed.
    """

    def __init__(self, question: Question) -> None:
        self.question, self.groups = question, question.groups
        self.timeout, self.seconds = question.timeout, question.spent
        self.visited, self.bound, self.proved, self.decided = 0, -inf, inf, False
        self.few_inputs = all(
            group.ball is None and int((group.proof.lower < group.proof.upper).sum()) <= FEW_INPUTS
            for group in self.groups
        )

    @property
    def late(self) -> bool:
        return self.seconds > self.timeout

    def reached(self) -> str:
        """Told where time ends the search."""
        known = [f"{self.visited} subdomains bounded"] if self.visited else []
        known += [f"the lowest open bound is {self.bound:.3g}"] if isfinite(self.bound) else []
        return "".join(f", {each}" for each in known)

    def end(self, verdict: Verdict, reason: str, witness: Witness | None = None) -> Answer:
        self.decided = True
        margin = float(self.proved if verdict is Verdict.VERIFIED else self.bound)
        if witness is not None:
            margin = witness.margin
        return Answer(verdict, reason, self.seconds, float(margin) if isfinite(margin) else None, witness, self.visited)
