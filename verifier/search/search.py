"""The whole search over problems of one network: branch and bound, and what helps it where it is hard.

Small ReLU networks get bounds from linear programs too, which need no steps to converge and come with the point where
the bound is taken. Inputs that stay open get tighter boxes of their neurons, and begin anew with these.
"""

import time
from collections import defaultdict
from collections.abc import Generator
from functools import cached_property

import torch

from ..bounds.beta_crown import Dual
from ..ops import Box
from .border import Border
from .branch_and_bound import BranchAndBound
from .domains import Domain
from .exact import Programs
from .refinement import WORTH, Due, Refiner, after


class Search(BranchAndBound):
    """`run_round` bounds a batch of subdomains, or goes a step on with the boxes of an input's neurons."""

    _refining: tuple[int, Generator[int, None, dict[str, Box]]] | None = None
    border: Border | None = None  # of the groups that own the problems

    @cached_property
    def _programs(self) -> Programs:
        return Programs(self.graph, self.params, self.problems, self.limits.memory)

    @cached_property
    def _refiner(self) -> Refiner:
        return Refiner(self.graph, self.params, self.single, self.limits.memory // 4)

    @cached_property
    def _due(self) -> dict[int, Due]:
        return defaultdict(Due)

    def run_round(self) -> None:
        if self._refining is not None:
            self._refine(*self._refining)
            return
        super().run_round()
        self._begin_stage()

    def account(self, domains: list[Domain], seconds: float) -> None:
        """Counts towards the inputs' next stages too."""
        for domain in domains:
            self._due[self.problems[domain.problem].owner].spent += self.seconds_each
        super().account(domains, seconds)

    def finish(self, domains: list[Domain], bounded: int) -> list[Domain]:
        """The domains that linear programs do not close; bounded: of how many these are left."""
        found = self._programs.solve(domains, bounded * self.seconds_each)
        if not found:
            return domains
        for domain, optimum, seconds in found:
            self._due[self.problems[domain.problem].owner].spent += seconds
            if optimum.point is not None:
                self.propose(domain.problem, optimum.point)
        tried, optima = [domain for domain, *_ in found], [optimum for _, optimum, _ in found]
        stacked = Dual(
            {name: torch.stack([optimum.slopes[name] for optimum in optima]) for name in optima[0].slopes},
            {name: torch.stack([optimum.multipliers[name] for optimum in optima]) for name in optima[0].slopes},
            torch.stack([self.padded(optimum.weights) for optimum in optima]),
        )
        rest = self.unproved(domains, tried, stacked)
        if self.border is not None:
            closed = {id(d) for d, optimum, _ in found if optimum.point is not None and self._at_border(self.border, d)}
            rest = [domain for domain in rest if id(domain) not in closed]
        self._programs.learn(len(tried), len(domains) - len(rest))
        return rest

    def _at_border(self, border: Border, domain: Domain) -> bool:
        """Whether exact arithmetic closes what rounding leaves open."""
        problem = self.problems[domain.problem]
        if not border.strict(problem.owner, problem.number):
            return False
        signs = {name: [0] * box.lower.numel() for name, box in problem.pre.items()}
        for split in domain.splits:
            signs[split.name][split.neuron] = split.side
        return border.refutes_split(problem.owner, problem.number, signs)

    def _begin_stage(self) -> None:
        """Begins to refine that input where the work so far is most beyond the next stage's price."""
        if self.has_roots():
            return
        best, most = None, 1.0
        for owner, due in self._due.items():
            own = self.open_of(owner)
            if not own:
                continue
            if due.price is None:
                pre = self.problems[own[0]].pre
                due.price = due.patience * self._refiner.price(due.stage, pre)
            if due.spent >= most * due.price:
                best, most = owner, due.spent / due.price
        if best is not None:
            problem = self.problems[self.open_of(best)[0]]
            self._refining = best, self._refiner.boxes(self._due[best].stage, problem)

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
            self._due[owner] = after(self._due[owner], gain)
            if gain > WORTH:
                self.restart(owner, over.value)
            self._refining = None
        self.spend(owner, visited, time.perf_counter() - began)
