"""Which subdomains are solved as linear programs: all that no split divides further, and over boxes as many of the
others as pay."""

from collections.abc import Sequence
from math import prod

import torch

from .. import deadline
from ..bounds.interval import piecewise_linear
from ..graph import Graph
from ..ops import Box, Params
from .cost import program_seconds
from .domains import Domain, clip
from .linear_program import Optimum, solve
from .problem import Problem

_LEAST_SHARE, _MOST_SHARE = 0.05, 3.0  # of the time that the ascent on the same subdomains took
_MOST_ENTRIES = 1 << 20  # of a program's matrix, for it to be worth while
_LAST_ENTRIES = 1 << 23  # where every ReLU has its sign
_SECONDS = 2.0  # for one program
_COPIES = 4  # of its rows over all values, that are alive together
_MEMORY = 0.9  # how much of the rate at which programs close subdomains stays, from one to the next


class Programs:
    """Programs of the problems' subdomains. The share of time they get follows the part of subdomains they close."""

    def __init__(self, graph: Graph, params: Params, problems: Sequence[Problem], memory: int) -> None:
        """memory: bytes for the rows of one program on their way through the network."""
        self._graph, self._params, self._problems = graph, params, problems
        values = sum(prod(shape) for shape in graph.shapes.values())
        self._most_rows = memory // (_COPIES * 8 * max(1, values))
        self._rate = 0.3
        self._relus = piecewise_linear(graph)

    def solve(self, domains: list[Domain], seconds: float) -> list[tuple[Domain, Optimum, float]]:
        """Optima of some domains, those with the most splits first, and what each cost. seconds: what the ascent costs
        (`cost`)."""
        if not self._relus:
            return []
        spent, found = 0.0, []
        share = _LEAST_SHARE + (_MOST_SHARE - _LEAST_SHARE) * self._rate
        names = self._problems[domains[0].problem].pre if domains else ()
        known = {n: [self._problems[domain.problem].pre[n] for domain in domains] for n in names}
        boxes, _ = clip({n: Box(*map(torch.stack, zip(*every, strict=True))) for n, every in known.items()}, domains)
        free = sum((((box.lower < 0) & (box.upper > 0)).flatten(1).sum(1) for box in boxes.values()), torch.tensor(0))
        for place in sorted(range(len(domains)), key=lambda each: -len(domains[each].splits)):
            deadline.check()
            domain, last = domains[place], not free[place]
            problem = self._problems[domain.problem]
            curved = problem.ball is not None  # a program for every tangent
            if (spent > share * seconds or curved) and not last:
                continue
            rows = len(problem.rows) + len(domain.splits) + 2 * int(free[place])
            entries = rows * (problem.box.lower.numel() + int(free[place]))
            if entries > (_LAST_ENTRIES if last else _MOST_ENTRIES) or rows > self._most_rows:
                continue
            spent += program_seconds(entries)
            pre = {name: Box(*(end[place] for end in box)) for name, box in boxes.items()}
            allowed = min(_SECONDS, deadline.left())
            optimum = solve(self._graph, self._params, problem, pre, domain.slopes, seconds=allowed)
            if optimum is not None:
                found.append((domain, optimum, program_seconds(entries)))
        return found

    def learn(self, tried: int, closed: int) -> None:
        """How many of the domains tried were closed."""
        for _ in range(tried):
            self._rate = _MEMORY * self._rate + (1 - _MEMORY) * closed / tried
