"""The whole search over problems of one network: branch and bound, and what helps it where it is hard.

Small ReLU networks get bounds from linear programs too, which need no steps to converge and come with the point where
the bound is taken. Inputs that stay open get tighter boxes of their neurons, and begin anew with these.
"""

import time
from collections import defaultdict
from collections.abc import Generator
from functools import cached_property
from math import inf

import numpy as np

from ..answer.proof import EXACT
from ..engine.dual import Dual
from ..exact.border import Border
from ..functions import Box
from .branch_and_bound import BranchAndBound
from .domains import Domain
from .linear_program import Optimum
from .programs import Programs, Solved
from .refinement import WORTH, Due, Refiner, after


class Search(BranchAndBound):
    """`run_round` bounds a batch of subdomains, or goes a step on with the boxes of an input's neurons."""

    _refining: tuple[int, Generator[int, None, dict[str, Box]]] | None = None
    border: Border | None = None  # of the groups that own the problems

    @cached_property
    def _programs(self) -> Programs:
        return Programs(self.engine, self.problems, self.limits.memory)

    @cached_property
    def _refiner(self) -> Refiner:
        return Refiner(self.engine, self.limits.memory // 4)

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
        if not domains:
            return domains
        found = self._programs.solve(domains, self.stacked(domains), bounded * self.seconds_each)
        if not found:
            return domains
        for each in found:
            self._due[self.problems[each.domain.problem].owner].spent += each.seconds
        tried = [each.domain for each in found]
        rest = self.unproved(domains, tried, self._stacked([each.optimum for each in found]))
        if self.border is not None:
            reached = [each.domain for each in found if each.optimum.point is not None]
            closed = {id(domain) for domain in reached if self._at_border(self.border, domain)}
            for domain in rest:
                if id(domain) in closed:
                    self.progress[domain.problem].proved = min(self.progress[domain.problem].proved, 0.0)
                    if self.proofs is not None:
                        self.proofs.lose(domain.problem, EXACT)
            rest = [domain for domain in rest if id(domain) not in closed]
        self._programs.learn(len(tried), len(domains) - len(rest))
        left = {id(domain) for domain in rest}
        for each in found:
            if id(each.domain) in left:
                self._reached(each)
        return rest

    def _reached(self, solved: Solved) -> None:
        """Where an optimum lies that proves nothing; of what no split divides it is the answer but for rounding."""
        domain, (point, value, *_) = solved.domain, solved.optimum
        if point is None:
            return
        self.propose(domain.problem, point, inf if solved.last else 0.0)
        if solved.last:
            domain.reason = f"a part that no split divides has the least value {value:.2g}, " + (
                "within what rounding may add" if value > 0 else "at a point that onnxruntime does not confirm"
            )

    def _stacked(self, optima: list[Optimum]) -> Dual:
        slopes, multipliers = (
            {name: np.stack([part[name] for part in parts])[:, None] for name in parts[0]}
            for parts in ([each.slopes for each in optima], [each.multipliers for each in optima])
        )
        return Dual(slopes, multipliers, np.stack([self.padded(each.weights) for each in optima]))

    def _at_border(self, border: Border, domain: Domain) -> bool:
        """Whether exact arithmetic closes what rounding leaves open."""
        problem = self.problems[domain.problem]
        if not border.strict(problem.owner, problem.number):
            return False
        signs = {name: [0] * len(box.lower) for name, box in problem.pre.items()}
        for split in domain.splits:
            signs[split.name][split.neuron] = split.side
        return border.refutes_split(problem.owner, problem.number, signs)

    def _begin_stage(self) -> None:
        """Begins to refine that input where the work so far is most beyond the next stage's price."""
        if self.has_roots() or not self.limits.refines:
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
