"""Which subdomains are solved as linear programs: all that no split divides further, and over boxes as many of the
others as pay."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import deadline
from ..engine.dual import Dual
from ..engine.engine import Engine
from ..engine.plan import Array
from ..functions import Box
from .cost import program_seconds
from .domains import Domain, clip
from .linear_program import Optimum, TooLarge, solve
from .problem import Problem, batch

_LEAST_SHARE, _MOST_SHARE = 0.05, 3.0  # of the time that the ascent on the same subdomains took
_MOST_ENTRIES = 1 << 20  # of a program's matrix, for it to be worth while
_SECONDS = 2.0  # for one program that is not the last word
_COPIES = 4  # of its rows over all values, that are alive together
_MEMORY = 0.9  # how much of the rate at which programs close subdomains stays, from one to the next


class Solved(NamedTuple):
    """last: of a domain that no split divides. seconds: as `cost` reckons them."""

    domain: Domain
    optimum: Optimum
    seconds: float
    last: bool


class Programs:
    """Programs of the problems' subdomains. The share of time they get follows the part of subdomains they close."""

    def __init__(self, engine: Engine, problems: Sequence[Problem], memory: int) -> None:
        """memory: bytes for one program."""
        self._engine, self._problems, self._memory = engine, problems, memory
        values = sum(engine.size(number) for number in range(len(engine.plan.values)))
        self._most_rows = memory // (_COPIES * 8 * values)
        self._rate = 0.3

    def solve(self, domains: list[Domain], dual: Dual, seconds: float) -> list[Solved]:
        """Optima of some domains, those with the most splits first; `Domain.reason` where one that no split divides has
        none. dual: theirs; seconds: what the ascent costs (`cost`)."""
        if not self._engine.piecewise_linear or not domains:
            return []
        spent, found = 0.0, []
        share = _LEAST_SHARE + (_MOST_SHARE - _LEAST_SHARE) * self._rate
        boxes, _ = clip(batch(self._engine, [self._problems[d.problem] for d in domains]).pre, domains)
        free = sum((((box.lower < 0) & (box.upper > 0)).sum(1) for box in boxes.values()), np.zeros(len(domains), int))
        for place in sorted(range(len(domains)), key=lambda each: -len(domains[each].splits)):
            deadline.check()
            domain, last = domains[place], bool(free[place] == 0)
            problem = self._problems[domain.problem]
            rows = len(problem.rows) + len(domain.splits) + 2 * int(free[place])
            entries = rows * (self._engine.inputs + int(free[place]))
            if not last:
                curved = problem.ball is not None  # a program for every tangent
                if spent >= share * seconds or curved or entries > _MOST_ENTRIES or rows > self._most_rows:
                    continue
            spent += program_seconds(entries)
            pre = {name: Box(box.lower[place], box.upper[place]) for name, box in boxes.items()}
            optimum = self._solved(domain, pre, {name: own[place, 0] for name, own in dual.slopes.items()}, last)
            if optimum is not None:
                found.append(Solved(domain, optimum, program_seconds(entries), last))
        return found

    def _solved(self, domain: Domain, pre: dict[str, Box], slopes: dict[str, Array], last: bool) -> Optimum | None:
        allowed = deadline.left() if last else min(_SECONDS, deadline.left())
        problem, reason = self._problems[domain.problem], "HiGHS has no answer for a part that no split divides"
        try:
            optimum = solve(self._engine, problem, pre, slopes, seconds=allowed, memory=self._memory)
        except TooLarge as error:
            optimum, reason = None, str(error)
        if optimum is None and last:
            domain.reason = reason
        return optimum

    def learn(self, tried: int, closed: int) -> None:
        """How many of the domains tried were closed."""
        for _ in range(tried):
            self._rate = _MEMORY * self._rate + (1 - _MEMORY) * closed / tried
