"""What bounds and a short attack leave open: α-CROWN, a longer attack, branch and bound."""

import time
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

from . import deadline
from .bounds import Box
from .case import Case, finite
from .errors import memory_missing
from .outcome import Outcome, Verdict
from .search.frontier import Limits
from .search.problem import Problem
from .search.search import Search
from .stages import RESTARTS, STEPS, Stages, through


class Completion:
    """The search over every row that the cases' bounds left open."""

    def __init__(self, stages: Stages, cases: list[Case]) -> None:
        self._stages, self._pending = stages, dict(enumerate(cases))
        problems = self._problems(cases)
        network, limits = stages.network, Limits(stages.settings.timeout, memory=stages.settings.memory)
        self._search = Search(network.graph, network.exact, network.single, problems, limits)

    def outcomes(self) -> Iterator[Outcome]:
        """One outcome for each case, in the order in which they are reached."""
        search = self._search
        self._add_up()
        while search.has_roots() and search.can_split():
            yield from self._round("alpha-CROWN")
        self._add_up()
        left = yield from through(
            list(self._pending.values()),
            lambda part: self._stages.attack_rows(part, restarts=RESTARTS, steps=STEPS),
            self._stages.settings.timeout,
        )
        self._add_up()
        if not search.can_split():
            yield from (
                case.outcome(Verdict.UNKNOWN, "the bound is exact and within rounding of zero") for case in left
            )
            return
        open_still = {id(case) for case in left}
        for owner in [owner for owner, case in self._pending.items() if id(case) not in open_still]:
            search.stop_owner(owner, "falsified")
            del self._pending[owner]
        while search.is_open():
            yield from self._round("branch and bound")

    def _round(self, stage: str) -> Iterator[Outcome]:
        """One of the search, and the outcomes that it leads to."""
        began, search = time.perf_counter(), self._search
        try:
            with deadline.within(sum(search.seconds_left(owner) for owner in self._pending)):
                search.run_round()
        except deadline.OutOfTime:
            self._give_up(search.late, time.perf_counter() - began)
        except (MemoryError, RuntimeError) as error:
            missing = memory_missing(error)
            if missing is None:
                raise
            self._give_up(f"a step takes {missing}", time.perf_counter() - began)
        yield from self._refuted()
        yield from self._finished(stage)

    def _give_up(self, reason: str, seconds: float) -> None:
        for owner in self._pending:
            self._search.spend(owner, 0, seconds / len(self._pending))
            self._search.stop_owner(owner, reason)

    def _add_up(self) -> None:
        """Counts the search's time among the inputs' own, and theirs towards the search's limit."""
        for owner, case in self._pending.items():
            for progress in self._search.of_owner(owner).values():
                case.seconds, progress.seconds = case.seconds + progress.seconds, 0.0
            self._search.elsewhere[owner] = case.seconds

    def _refuted(self) -> Iterator[Outcome]:
        """Falsified where a corner that gave a bound breaks the network itself."""
        for owner, point in self._search.take_candidates().items():
            case = self._pending.get(owner)
            outcome = self._stages.replay(case, point) if case is not None else None
            if case is None or outcome is None:
                continue
            spent = sum(progress.seconds for progress in self._search.of_owner(owner).values())
            self._search.stop_owner(owner, "falsified")
            del self._pending[owner]
            yield replace(outcome, seconds=case.seconds + spent, reason="branch and bound")

    def _problems(self, cases: list[Case]) -> list[Problem]:
        """One problem for every specification row that DeepPoly left open."""
        box, ball = self._stages.proof_box(cases)
        problems = []
        for owner, case in enumerate(cases):
            if case.pre is None:
                raise ValueError(f"input {case.index} was never bounded")
            spec = self._stages.spec([case])  # of all together it grows with the square of the classes
            own, own_ball = Box(box.lower[owner], box.upper[owner]), ball and ball.each(itemgetter(owner))
            for row in (~case.proved).nonzero().flatten().tolist():
                given = spec.rows[0, [row]], spec.offset[0, [row]]
                problems.append(Problem(owner, row, own, *given, case.pre, ball=own_ball))
        return problems

    def _finished(self, stage: str) -> Iterator[Outcome]:
        """Outcomes of the inputs that the search is newly done with."""
        for owner in self._search.take_finished():
            case = self._pending.pop(owner, None)
            if case is None:
                continue
            rows = self._search.of_owner(owner)
            for row, progress in rows.items():
                bound = progress.proved if not progress.done else min(progress.bound, progress.proved)
                case.lower[row] = max(float(case.lower[row]), bound)
            case.margin = finite(float(case.lower.min()))
            case.seconds += sum(progress.seconds for progress in rows.values())
            reason = next((progress.done for progress in rows.values() if progress.done), "")
            if reason:
                yield case.outcome(Verdict.UNKNOWN, reason)
            elif stage == "alpha-CROWN":
                yield case.outcome(Verdict.VERIFIED, stage)
            else:
                visited = sum(progress.visited for progress in rows.values())
                yield case.outcome(Verdict.VERIFIED, f"{stage}, {visited} subdomains")
