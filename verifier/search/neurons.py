"""Tighter boxes of one value by branch and bound on each of its unstable neurons, both ends side by side.

    l_j = min over the subdomains of v_j,   each bounded by β-CROWN, the loosest split next

A neuron of a small network depends on so few unstable ones that a handful of splits tells much more than any choice of
slopes: of an MNIST network of four layers most unstable neurons turn out to be stable after all (mixed-integer programs
for intermediate bounds do the same: Tjeng et al. 2019, arXiv:1711.07356). What is kept is bounded in float64.
"""

from collections import Counter
from collections.abc import Generator, Mapping
from math import inf

import torch

from ..bounds.interval import nonlinear_inputs
from ..graph import Graph
from ..ops import Box, Params
from .branch_and_bound import BranchAndBound, Limits
from .domains import Domain, stacked_dual
from .problem import Problem

_ROWS = 1 << 26  # bytes of the rows that pick the neurons, of those that go together


def tightened(
    part: Graph,
    params: Params,
    single: Params,
    problem: Problem,
    pre: Mapping[str, Box],
    known: Box,
    neurons: torch.Tensor,
    *,
    visits: int,
    memory: int,
) -> Generator[int, None, Box]:
    """The box `known` [*v] of the outputs of `part`, with the bounds of `neurons` (flat indices) over the problem's
    region, each after about so many subdomains. Yields after each round how many it bounded.

    pre: boxes of the inputs of the nonlinearities before, within those of the problem. memory: bytes for subdomains.
    """
    below = {name: pre[name] for name in nonlinear_inputs(part).values()}
    lower, upper = (end.flatten().clone() for end in known)
    entries = sum(own.lower.numel() for own in below.values())
    size = max(1, min(_ROWS // (16 * len(lower)), memory // (visits * 16 * max(1, entries))))
    for some in neurons.split(size):
        rows = torch.zeros(len(some), 2, len(lower), dtype=torch.float64)
        every = torch.arange(len(some))
        rows[every, 0, some], rows[every, 1, some] = 1, -1
        nothing = torch.zeros(1, dtype=torch.float64)
        problems = [
            Problem(owner, side, problem.box, rows[owner, [side]], nothing, below, ball=problem.ball)
            for owner in range(len(some))
            for side in (0, 1)
        ]
        search = NeuronSearch(part, params, single, problems, Limits(inf, memory=memory, visits=visits))
        before = 0
        while search.is_waiting():
            search.run_round()
            visited = sum(progress.visited for progress in search.progress)
            yield visited - before
            before = visited
        least, least_negated = torch.tensor(search.lowest(), dtype=torch.float64).reshape(-1, 2).T
        lower[some] = torch.fmax(lower[some], least)
        upper[some] = torch.fmin(upper[some], -least_negated)
    return Box(lower.reshape(known.lower.shape), upper.reshape(known.upper.shape))


class NeuronSearch(BranchAndBound):
    """Owners are neurons, with two problems each: that it is never negative, that it is never positive."""

    def lowest(self) -> list[float]:
        """What each problem's row is at least on its whole box, in float64, or 0 where it is no less; -inf where that
        is not known."""
        rest = [domain for progress in self.progress for domain in (*progress.open, *progress.over)]
        known = {domain.problem for domain in rest} | {i for i, p in enumerate(self.progress) if p.done == ""}
        found = torch.tensor([0.0 if i in known else -inf for i in range(len(self.progress))], dtype=torch.float64)
        for first in range(0, len(rest), self.batch):
            domains = [self.spelled(domain) for domain in rest[first : first + self.batch]]
            proved = self.prover.bounds(domains, stacked_dual(domains), tight=True)
            bounds = torch.tensor([bound - needed for bound, needed in proved], dtype=torch.float64)
            places = torch.tensor([domain.problem for domain in domains])
            found.scatter_reduce_(0, places, bounds.nan_to_num(nan=-inf), "amin")
        return found.tolist()

    def branch(self, domains: list[Domain]) -> None:
        """Not those of problems that rest after this round."""
        served = Counter(domain.problem for domain in domains)
        goes_on = {i for i, count in served.items() if self.progress[i].visited + count < self.limits.visits}
        super().branch([domain for domain in domains if domain.problem in goes_on])

    def propose(self, problem: int, point: torch.Tensor) -> None:
        """Nobody asks where a neuron is least."""

    def end(self, problem: int, how: str) -> None:
        """Of the other sign nothing is left to know."""
        super().end(problem, how)
        if not how:
            self.stop_owner(self.problems[problem].owner, "it has the other sign")

    def exhausted(self, problem: int) -> None:
        """The bound of what no split divides counts all the same."""
