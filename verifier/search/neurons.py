"""Tighter boxes of one value by branch and bound on each of its unstable neurons, both ends side by side.

    l_j = min over the subdomains of v_j,   each bounded by β-CROWN, the loosest split next

A neuron of a small network depends on so few unstable ones that a handful of splits tells much more than any choice of
slopes: of an MNIST network of four layers most unstable neurons turn out to be stable after all (mixed-integer programs
for intermediate bounds do the same: Tjeng et al. 2019, arXiv:1711.07356). What is kept is bounded in float64.
"""

from collections import Counter
from collections.abc import Generator, Mapping
from math import inf

import numpy as np

from ..engine.engine import Engine
from ..engine.plan import Array
from ..functions import Box
from .branch_and_bound import BranchAndBound, Limits
from .domains import Domain
from .problem import Problem

_ROWS = 1 << 26  # bytes of the rows that pick the neurons, of those that go together


def tightened(
    part: Engine,
    problem: Problem,
    pre: Mapping[str, Box],
    known: Box,
    neurons: Array,
    *,
    visits: int,
    memory: int,
) -> Generator[int, None, Box]:
    """The box `known` [n] of the outputs of `part`, with the bounds of `neurons` (entries) over the problem's region,
    each after about so many subdomains. Yields after each round how many it bounded.

    pre: boxes of the inputs of the nonlinearities before, within those of the problem. memory: bytes for subdomains.
    """
    below = {name: pre[name] for name in part.bends}
    lower, upper = (end.copy() for end in known)
    size = max(1, min(_ROWS // (16 * len(lower)), memory // (visits * 16 * max(1, part.neurons))))
    for first in range(0, len(neurons), size):
        some = neurons[first : first + size]
        search = NeuronSearch(part, _ends(problem, below, len(lower), some), Limits(inf, memory=memory, visits=visits))
        before = 0
        while search.is_waiting():
            search.run_round()
            visited = sum(progress.visited for progress in search.progress)
            yield visited - before
            before = visited
        least, least_negated = search.lowest().reshape(-1, 2).T
        lower[some] = np.fmax(lower[some], least)
        upper[some] = np.fmin(upper[some], -least_negated)
    return Box(lower, upper)


def _ends(problem: Problem, below: Mapping[str, Box], entries: int, neurons: Array) -> list[Problem]:
    """Of each neuron the problems that it is never negative, and never positive."""
    rows = np.zeros((len(neurons), 2, 1, entries))
    every = np.arange(len(neurons))
    rows[every, 0, 0, neurons], rows[every, 1, 0, neurons] = 1, -1
    return [
        Problem(owner, side, problem.box, rows[owner, side], np.zeros(1), below, ball=problem.ball)
        for owner in range(len(neurons))
        for side in (0, 1)
    ]


class NeuronSearch(BranchAndBound):
    """Owners are neurons, with two problems each: that it is never negative, that it is never positive."""

    def lowest(self) -> Array:
        """What each problem's row is at least on its whole box, in float64, or 0 where it is no less; -inf where that
        is not known."""
        rest = [domain for progress in self.progress for domain in (*progress.open, *progress.over)]
        found = np.full(len(self.progress), -inf)
        found[[domain.problem for domain in rest]] = 0.0
        found[[i for i, progress in enumerate(self.progress) if progress.done == ""]] = 0.0
        for first in range(0, len(rest), self.batch):
            domains = rest[first : first + self.batch]
            proved = np.array(self.prover.bounds(domains, self.stacked(domains), tight=True))
            bounds = proved[:, 0] - proved[:, 1]
            bounds[np.isnan(bounds)] = -inf
            np.minimum.at(found, [domain.problem for domain in domains], bounds)
        return found

    def branch(self, domains: list[Domain]) -> None:
        """Not those of problems that rest after this round."""
        served = Counter(domain.problem for domain in domains)
        goes_on = {i for i, count in served.items() if self.progress[i].visited + count < self.limits.visits}
        super().branch([domain for domain in domains if domain.problem in goes_on])

    def propose(self, problem: int, point: Array, most: float = 0.0) -> None:
        """Nobody asks where a neuron is least."""

    def end(self, problem: int, how: str) -> None:
        """Of the other sign nothing is left to know."""
        super().end(problem, how)
        if not how:
            self.stop_owner(self.problems[problem].owner, "it has the other sign")

    def exhausted(self, problem: int) -> None:
        """The bound of what no split divides counts all the same."""
