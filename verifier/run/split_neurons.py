"""α-CROWN on every clause that is left, a longer attack, then branch and bound on neurons (`search.search`)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import inf

import numpy as np

from ..answer import Verdict
from ..answer.proof import EXACT, NotKept
from ..search.frontier import Limits
from ..search.problem import Problem
from ..search.proof import aimed
from ..search.search import Search
from .attack import LONG, descents
from .ledger import still_open
from .question import Case
from .run import Ended, Run

_DOMAINS = 2**20
_KEPT = 0.25  # of the memory, for what closed subdomains, where answers are to keep that


def split_neurons(run: Run) -> Iterator[Ended]:
    problems: list[Problem] = []
    for case in still_open(run.cases):
        run.ledger.begin({case: 1})
        problems += aimed(run.engine, list(_problems(run, case)))
        run.ledger.bill({case: 1})
        yield from run.closed([case], "DeepPoly")
        yield from run.late([case])
    search = _Searching(run, problems)
    if run.engine.bends:
        yield from search.rounds(search.has_roots, lambda case: "alpha-CROWN")
    yield from descents(run, search.left(), LONG)
    if run.engine.bends:
        yield from search.rounds(search.is_open, lambda case: f"branch and bound, {case.visited} subdomains")


def _problems(run: Run, case: Case) -> Iterator[Problem]:
    """The clauses that DeepPoly leaves open, but for those that exact arithmetic refutes at a border."""
    for number, clause in run.alive(case):
        group = run.groups[number]
        if run.near[number][clause] and run.border.refutes(number, clause):
            group.alive[clause] = False
            run.closings[number, clause] = NotKept(EXACT)
            continue
        rows, offset = group.rows[clause], group.offset[clause]
        best = np.zeros(len(rows))
        best[run.best[number][clause]] = 1
        yield Problem(number, clause, group.proof, rows, offset, run.pre[number], best, group.ball)


class _Searching:
    """A search whose problems are owned by groups, and what it says of their cases."""

    def __init__(self, run: Run, problems: list[Problem]) -> None:
        self._run = run
        problems = [each for each in problems if not run.case[each.owner].decided]
        kept = int(_KEPT * run.effort.memory) if run.effort.proofs else 0
        limits = Limits(inf, domains=_DOMAINS, memory=run.effort.memory - kept, proofs=kept)
        self._search = Search(run.engine, problems, limits)
        self._search.border = run.border
        self._of = [run.case[problem.owner] for problem in problems]
        self._before = {case: case.visited for case in self._of}  # in earlier searches
        self._reasons: dict[Case, str] = {}  # what keeps cases from being proved

    def has_roots(self) -> bool:
        return self._search.has_roots()

    def is_open(self) -> bool:
        return self._search.is_open()

    def left(self) -> list[tuple[int, int | None]]:
        """The clauses that are open: number of the group and its own."""
        both = zip(self._search.problems, self._search.progress, strict=True)
        return [
            (problem.owner, problem.number)
            for problem, progress in both
            if progress.done is None and not self._run.case[problem.owner].decided
        ]

    def rounds(self, more: Callable[[], bool], proof: Callable[[Case], str]) -> Iterator[Ended]:
        """Rounds of the search as long as there are more; proof: how what it ends was proved."""
        run, search = self._run, self._search
        yield from self._ended(proof)
        while more():
            inside = still_open(self._before)
            run.ledger.begin(dict.fromkeys(inside, 1))
            search.run_round()
            self._count(inside)
            for number, point in search.take_candidates().items():
                case = run.case[number]
                witness = None if case.decided else run.falsifier.replay(number, point)
                run.ledger.bill({case: 1})
                if witness is not None:
                    yield run.end(case, Verdict.FALSIFIED, "branch and bound", witness)
            yield from self._ended(proof)
            yield from run.late(inside)
            self._forget()

    def _forget(self) -> None:
        """The problems of cases that are decided."""
        for owner in {p.owner for p, case in zip(self._search.problems, self._of, strict=True) if case.decided}:
            self._search.stop_owner(owner, "answered")

    def _count(self, inside: Iterable[Case]) -> None:
        """What the round did for each case, and where each stands."""
        visited, bound, proved = Counter(self._before), dict[Case, float](), dict[Case, float]()
        for case, problem, progress in zip(self._of, self._search.problems, self._search.progress, strict=True):
            visited[case] += progress.visited
            if progress.done is None:
                bound[case] = min(bound.get(case, inf), progress.bound + problem.margin)
            proved[case] = min(proved.get(case, inf), progress.proved)
        served = {case: visited[case] - case.visited for case in inside}
        self._run.ledger.bill(served if any(served.values()) else dict.fromkeys(inside, 1))
        for case in inside:
            case.visited, case.bound = visited[case], bound.get(case, case.bound)
            case.proved = min(case.proved, proved[case])

    def _ended(self, proof: Callable[[Case], str]) -> Iterator[Ended]:
        """The cases where nothing is left to search."""
        if not self._search.take_finished():
            return
        searched = set()
        for case, progress in zip(self._of, self._search.progress, strict=True):
            if progress.done is None:
                searched.add(case)
            elif progress.done:
                self._reasons.setdefault(case, progress.done)
        for case in still_open(dict.fromkeys(self._of)):
            if case not in searched and case in self._reasons:
                yield self._run.end(case, Verdict.UNKNOWN, self._reasons[case])
            elif case not in searched:
                self._keep_proofs(case)
                yield self._run.end(case, Verdict.VERIFIED, proof(case))

    def _keep_proofs(self, case: Case) -> None:
        search = self._search
        for i, (problem, of) in enumerate(zip(search.problems, self._of, strict=True)):
            if of is case and search.proofs is not None:
                self._run.closings[problem.owner, problem.number] = search.proofs.tree(i, problem.number)
