"""The whole search over problems of one network: branch and bound, and what helps it where it is hard.

Small ReLU networks get bounds from linear programs too, which need no steps to converge and come with the point where
the bound is taken. Inputs that stay open get tighter boxes of their neurons, and begin anew with these.
"""

import time
from collections import defaultdict
from collections.abc import Generator, Sequence

import torch

from ..bounds.beta_crown import Dual
from ..graph import Graph
from ..ops import Box, Params
from .branch_and_bound import BranchAndBound, Limits
from .domains import Domain
from .exact import Programs
from .problem import Problem
from .refinement import WORTH, Refiner, Standing, after


class Search(BranchAndBound):
    """`run_round` bounds a batch of subdomains, or goes a step on with the boxes of an input's neurons."""

    def __init__(
        self,
        graph: Graph,
        params: Params,
        single: Params,
        problems: Sequence[Problem],
        margins: Sequence[float],
        limits: Limits,
    ) -> None:
        """As of `BranchAndBound`."""
        super().__init__(graph, params, single, problems, margins, limits)
        self._programs = Programs(graph, params, self.problems)
        self._refiner = Refiner(graph, params, single, limits.memory // 4)
        self._standing: dict[int, Standing] = defaultdict(Standing)
        self._refining: tuple[int, Generator[int, None, dict[str, Box]]] | None = None

    def run_round(self) -> None:
        if self._refining is not None:
            self._refine(*self._refining)
            return
        super().run_round()
        self._begin_stage()

    def account(self, domains: list[Domain], seconds: float) -> None:
        """Counts towards the inputs' next stages too."""
        for domain in domains:
            self._standing[self.problems[domain.problem].owner].spent += self.seconds_each
        super().account(domains, seconds)

    def finish(self, domains: list[Domain], bounded: int) -> list[Domain]:
        """The domains that linear programs do not close; bounded: of how many these are left."""
        found = self._programs.solve(domains, bounded * self.seconds_each)
        if not found:
            return domains
        for domain, optimum, seconds in found:
            self._standing[self.problems[domain.problem].owner].spent += seconds
            if optimum.point is not None:
                self.propose(domain.problem, optimum.point)
        tried, optima = [domain for domain, *_ in found], [optimum for _, optimum, _ in found]
        stacked = Dual(
            {name: torch.stack([optimum.slopes[name] for optimum in optima]) for name in optima[0].slopes},
            {name: torch.stack([optimum.multipliers[name] for optimum in optima]) for name in optima[0].slopes},
            torch.stack([self.padded(optimum.weights) for optimum in optima]),
        )
        rest = self.unproved(domains, tried, stacked)
        self._programs.learn(len(tried), len(domains) - len(rest))
        return rest

    def _begin_stage(self) -> None:
        """Begins to refine that input where the work so far is most beyond the next stage's price."""
        if self.has_roots():
            return
        best, most = None, 1.0
        for owner, standing in self._standing.items():
            own = self.open_of(owner)
            if not own:
                continue
            if standing.price is None:
                pre = self.problems[own[0]].pre
                standing.price = standing.patience * self._refiner.price(standing.stage, pre)
            if standing.spent >= most * standing.price:
                best, most = owner, standing.spent / standing.price
        if best is not None:
            problem = self.problems[self.open_of(best)[0]]
            self._refining = best, self._refiner.boxes(self._standing[best].stage, problem)

    def _refine(self, owner: int, work: Generator[int, None, dict[str, Box]]) -> None:
        began, own = time.perf_counter(), self.open_of(owner)
        if not own:
            self._refining = None
            return
        visited = 0
        try:
            visited = next(work)
        except StopIteration as over:
            gain = self._refiner.gain(self.problems[own[0]].pre, over.value)
            self._standing[owner] = after(self._standing[owner], gain)
            if gain > WORTH:
                self.restart(owner, over.value)
            self._refining = None
        self.spend(owner, visited, time.perf_counter() - began)
