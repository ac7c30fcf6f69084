"""Questions of a network that are decided together: what all stages know of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf, isfinite

import numpy as np

from ..answer import Answer, Verdict, Witness
from ..answer.proof import NotKept, Proof, Tree
from ..exact.border import Border
from ..functions import Box
from ..network import Network
from ..search.falsify import Falsifier
from ..settings import Effort
from .ledger import Ledger, still_open
from .question import Case

Progress = Callable[[str], None]
Ended = tuple[Case, Answer]


_TOUCHED = (
    "it holds in real arithmetic, at the very border, which float32's rounding may cross; --arithmetic real proves it"
)


class Run:
    """groups: of all cases, by number; case: whose each is. lower: of each the best bounds of its clauses [C] so far,
    and best the row that gave each; near: where it is within rounding of zero. pre: of those that DeepPoly left open
    the boxes [n] of their neurons. closings: what closed clauses, by group and number, where it is not the lines."""

    def __init__(self, network: Network, cases: list[Case], effort: Effort, progress: Progress) -> None:
        self.network, self.engine, self.cases = network, network.engine, cases
        self.effort, self.progress = effort, progress
        self.groups = [group for case in cases for group in case.groups]
        owners = [number for number, case in enumerate(cases) for _ in case.groups]
        self.case = [cases[number] for number in owners]
        self.ledger = Ledger()
        self.falsifier = Falsifier(network, self.groups, owners, memory=effort.memory, seed=effort.seed)
        self.border = Border(self.engine, self.groups)
        self.lower = [np.full(len(group.rows), -np.inf) for group in self.groups]
        self.best = [np.zeros(len(group.rows), np.int64) for group in self.groups]
        self.near = [np.zeros(len(group.rows), bool) for group in self.groups]
        self.pre: dict[int, dict[str, Box]] = {}
        self.looked_at = set[Case]()  # by `borders`
        self.closings: dict[tuple[int, int], Tree | NotKept] = {}

    def numbers(self, case: Case) -> list[int]:
        """Of its groups."""
        return [number for number, owner in enumerate(self.case) if owner is case]

    def open_groups(self) -> list[int]:
        return [number for number, case in enumerate(self.case) if not case.decided]

    def strict(self, cases: Iterable[Case]) -> set[Case]:
        """Those of which some comparison excludes equality."""
        return {case for case in cases if self.border.any_strict(self.numbers(case))}

    def end(self, case: Case, verdict: Verdict, reason: str, witness: Witness | None = None) -> Ended:
        doubt = self.falsifier.doubt(self.cases.index(case))
        if doubt is not None and verdict in (Verdict.VERIFIED, Verdict.UNKNOWN):
            verdict, reason = Verdict.UNKNOWN, doubt
        if verdict is Verdict.VERIFIED and self.border.touched.intersection(self.numbers(case)):
            verdict, reason = Verdict.UNKNOWN, _TOUCHED
        self._settle(case)
        answer = case.end(verdict, reason, witness)
        if self.effort.proofs and answer.verdict is Verdict.VERIFIED:
            answer = replace(answer, proof=self._proof(case))
        return case, answer

    def _proof(self, case: Case) -> Proof | NotKept:
        regions = []
        for number in self.numbers(case):
            closings = [
                found
                for (group, _), found in sorted(self.closings.items(), key=lambda item: item[0])
                if group == number
            ]
            lost = [found for found in closings if isinstance(found, NotKept)]
            if lost:
                return lost[0]
            regions.append(tuple({id(found): found for found in closings if isinstance(found, Tree)}.values()))
        return Proof(tuple(regions))

    def _settle(self, case: Case) -> None:
        """What the bounds of whole regions say of it, where no search has said more."""
        for number in self.numbers(case):
            lower, alive = self.lower[number], self.groups[number].alive
            # what only exact arithmetic refuted is not negative, whatever float64 makes of it
            case.proved = min(case.proved, lower[~alive].clip(0.0).min(initial=inf))
            if not isfinite(case.bound):
                case.bound = lower[alive].min(initial=inf)

    def stopped(self, case: Case, verdict: Verdict, why: str) -> Ended:
        """Ends a case before it is decided; why: what ended it, told with what was reached."""
        self._settle(case)
        return self.end(case, verdict, f"{why}{case.reached()}")

    def timeout(self, case: Case) -> Ended:
        return self.stopped(case, Verdict.TIMEOUT, f"timeout after {self.effort.timeout:g} s")

    def late(self, cases: Iterable[Case]) -> Iterator[Ended]:
        """Ends those whose time is over."""
        for case in still_open(cases):
            if case.late:
                yield self.timeout(case)

    def billed(self, numbers: Sequence[int], reason: str) -> Iterator[Ended]:
        """Bills the work on groups; ends the cases of which no clause is left, by `reason`, and those out of time."""
        shares = Counter(self.case[number] for number in numbers)
        self.ledger.bill(shares)
        yield from self.closed(shares, reason)
        yield from self.late(shares)

    def closed(self, cases: Iterable[Case], reason: str) -> Iterator[Ended]:
        """Ends those of which no clause is left."""
        for case in still_open(cases):
            if not self.alive(case):
                yield self.end(case, Verdict.VERIFIED, reason)

    def alive(self, case: Case) -> list[tuple[int, int]]:
        """Its clauses that nothing has refuted yet: number of the group and within it."""
        return [(number, int(c)) for number in self.numbers(case) for c in np.flatnonzero(self.groups[number].alive)]
