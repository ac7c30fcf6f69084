"""Which subdomains are solved as linear programs: all that no split divides further, and over boxes as many of the
others as pay."""

import time
from collections.abc import Sequence

from ..bounds.interval import nonlinearities
from ..graph import Graph
from ..ops import Box, Params
from .domains import Domain, clip
from .linear_program import Optimum, fits, solve
from .problem import Problem

_LEAST_SHARE, _MOST_SHARE = 0.05, 3.0  # of the time that the ascent on the same subdomains took
_SECONDS = 2.0  # for one program
_MEMORY = 0.9  # how much of the rate at which programs close subdomains stays, from one to the next


class Programs:
    """Programs of the problems' subdomains. The share of time they get follows the part of subdomains they close."""

    def __init__(self, graph: Graph, params: Params, problems: Sequence[Problem]) -> None:
        self._graph, self._params, self._problems = graph, params, problems
        self._rate = 0.3
        self._relus = all(operator.kinked for operator in nonlinearities(graph).values())

    def solve(self, domains: list[Domain], seconds: float) -> list[tuple[Domain, Optimum]]:
        """Optima of some domains, those with the most splits first. seconds: what the ascent took."""
        if not self._relus:
            return []
        began, found = time.perf_counter(), []
        share = _LEAST_SHARE + (_MOST_SHARE - _LEAST_SHARE) * self._rate
        for domain in sorted(domains, key=lambda each: -len(each.splits)):
            problem = self._problems[domain.problem]
            late = time.perf_counter() - began > share * seconds
            boxes, _ = clip({name: Box(*(end[None] for end in box)) for name, box in problem.pre.items()}, [domain])
            pre = {name: Box(*(end[0] for end in box)) for name, box in boxes.items()}
            last = not any(bool(((box.lower < 0) & (box.upper > 0)).any()) for box in pre.values())
            curved = problem.ball is not None  # a program for every tangent
            if ((late or curved) and not last) or not fits(self._graph, problem, pre):
                continue
            optimum = solve(self._graph, self._params, problem, pre, domain.slopes, seconds=_SECONDS)
            if optimum is not None:
                found.append((domain, optimum))
        return found

    def learn(self, tried: int, closed: int) -> None:
        """How many of the domains tried were closed."""
        for _ in range(tried):
            self._rate = _MEMORY * self._rate + (1 - _MEMORY) * closed / tried
