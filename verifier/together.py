"""Queries of a network that are decided together: what each costs, how it ends, and the looks that need no search."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator

from . import deadline
from .decision import Answer, Decision, Witness
from .errors import memory_missing
from .network import Network
from .pending import Pending, Shares
from .search.border import Border
from .search.falsify import Falsifier
from .settings import Effort

Progress = Callable[[str], None]
Ended = tuple[int, Decision]  # of the query at that place

_KINKS = 4  # clauses of a box


class Together(Shares):
    """A group is named by its number among those of all queries."""

    def __init__(self, network: Network, cases: list[Pending], settings: Effort, progress: Progress) -> None:
        self._network, self._cases, self._settings, self._progress = network, cases, settings, progress
        self._groups = [group for case in cases for group in case.groups]
        owners = [number for number, case in enumerate(cases) for _ in case.groups]
        self._case = [cases[number] for number in owners]  # of each group
        self._falsifier = Falsifier(network, self._groups, owners, memory=settings.memory, seed=settings.seed)
        self._looked_at = set[Pending]()  # by the border
        self._border = Border(network.graph, network.exact, self._groups)
        super().__init__()

    def _timed(self, stage: Iterator[Ended]) -> Generator[Ended, None, bool]:
        """The stage's answers; and for the queries that a step was for which went beyond the time, timeout, or beyond
        the machine's memory, unknown. Whether there was such a step."""
        try:
            yield from stage
            return False
        except deadline.OutOfTime:
            ending = self._timeout
        except (MemoryError, RuntimeError) as error:
            missing = memory_missing(error)
            if missing is None:
                raise
            short = f"a step takes {missing}"

            def ending(case: Pending) -> Ended:
                return self._end(case, Answer.UNKNOWN, f"{short}{case.reached()}")

        inside = self._open(self._shares) or self._open(self._cases)
        self._bill(dict.fromkeys(inside, 1))
        for case in inside:
            yield ending(case)
        return True

    def _timeout(self, case: Pending) -> Ended:
        return self._end(case, Answer.TIMEOUT, f"timeout after {self._settings.timeout:g} s{case.reached()}")

    def _numbers(self, case: Pending) -> list[int]:
        """Its groups."""
        return [number for number, owner in enumerate(self._case) if owner is case]

    def _strict(self, cases: Iterable[Pending]) -> set[Pending]:
        return {case for case in cases if self._border.any_strict(self._numbers(case))}

    def _end(self, case: Pending, verdict: Answer, reason: str, witness: Witness | None = None) -> Ended:
        doubt = self._falsifier.doubt(self._cases.index(case))
        if doubt is not None and verdict in (Answer.UNSAT, Answer.UNKNOWN):
            verdict, reason = Answer.UNKNOWN, doubt
        return case.place, case.end(verdict, reason, witness)

    def _late(self, cases: Iterable[Pending]) -> Iterator[Ended]:
        """Ends those whose time is over."""
        for case in self._open(cases):
            if case.late:
                yield self._timeout(case)

    def _attack(self, clauses: list[tuple[int, int]], *, restarts: int, steps: int) -> Iterator[Ended]:
        """On clauses, each by the number of its group and its own within that."""
        for number in dict.fromkeys(number for number, _ in clauses):
            case = self._case[number]
            if case.decided:
                continue
            self._begin({case: 1})
            found = self._falsifier.sample(number, max(16, 1024 // len(case.groups)))
            self._bill({case: 1})
            if found is not None:
                yield self._end(case, Answer.SAT, "random points", found)
            yield from self._late([case])
        clauses = [pair for pair in clauses if not self._case[pair[0]].decided]
        if not clauses:
            return
        shares = Counter(self._case[number] for number, _ in clauses)
        self._begin(shares)
        witnesses = self._falsifier.descend(clauses, restarts=restarts, steps=steps, stop=self._stop)
        self._bill(shares)
        for owner, witness in witnesses.items():
            yield self._end(self._cases[owner], Answer.SAT, "attack", witness)
        yield from self._late(shares)

    def _refute_borders(self, cases: Iterable[Pending]) -> Iterator[Ended]:
        """Exact bounds of whole boxes, once, where a comparison is strict: of what never passes a border there may be
        no other."""
        for case in self._open(cases):
            if case in self._looked_at:
                continue
            self._looked_at.add(case)
            numbers = self._numbers(case)
            for number in numbers:
                self._begin({case: 1})
                if not case.late:
                    self._border.close(number)
                self._bill({case: 1})
                witness = None if case.late else self._at_kinks(number)
                self._bill({case: 1})
                if witness is not None:
                    yield self._end(case, Answer.SAT, "linear program", witness)
                    break
            if case.decided:
                continue
            if not any(bool(self._groups[number].alive.any()) for number in numbers):
                yield self._end(case, Answer.UNSAT, "exact bounds")
            yield from self._late([case])

    def _at_kinks(self, number: int) -> Witness | None:
        """Of a small network's first clauses, where bounds over the whole box are taken."""
        for clause in self._groups[number].alive.nonzero().flatten()[:_KINKS].tolist():
            point = self._border.kink(number, clause)
            witness = None if point is None else self._falsifier.replay(number, point)
            if witness is not None:
                return witness
        return None
