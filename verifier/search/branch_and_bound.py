"""Branch and bound on ReLU splits over one frontier of subdomains of many problems (β-CROWN, Wang et al. 2021).

The search runs in float32; a subdomain is closed only when its bound, recomputed in float64 from the slopes and
multipliers that the search found, exceeds the rounding margin.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from math import isfinite

import torch

from ..bounds.beta_crown import Dual, dual_bound, split_impact, start_dual, tighten
from ..graph import Graph
from ..ops import Box, Params
from .branching import best_split
from .domains import Domain, clip, split_signs, stacked_dual
from .primal import worst_corners
from .problem import Problem, batch

_ROUND = 0.7  # seconds that a round should take at most
_LAST_STEPS, _LAST_TRIES = 60, 5  # for subdomains without a neuron to split, which nothing but the climb can close
_LEAST = 8  # subdomains of a round, however long


@dataclass(frozen=True)
class Limits:
    """seconds: an input's share of the work. domains: open at once, of one problem. memory: bytes that all open
    subdomains may hold. batch: subdomains bounded together."""

    seconds: float
    domains: int = 20_000
    memory: int = 2**30
    batch: int = 256
    steps: int = 4
    root_steps: int = 20


@dataclass
class Progress:
    """Where one problem stands. `done`: None while open, else what ended it; "" for proved."""

    open: list[Domain] = field(default_factory=list)
    seconds: float = 0.0
    visited: int = 0
    bound: float = float("-inf")  # of the open subdomains, float32
    proved: float = float("inf")  # of the closed ones, float64
    done: str | None = None


class Search:
    """The frontier. `run_round` bounds one batch of subdomains, shared fairly among the open problems."""

    def __init__(self, graph: Graph, params: Params, problems: list[Problem], margins: list[float], limits: Limits):
        self.graph, self.params, self.limits = graph, params, limits
        self.problems, self.margins = problems, margins
        self.progress = [Progress() for _ in problems]
        self._of_owner: dict[int, list[int]] = defaultdict(list)
        for number, problem in enumerate(problems):
            self._of_owner[problem.owner].append(number)
        self._finished: list[int] = []
        self._candidates: dict[int, torch.Tensor] = {}
        self._rooted = 0
        self._batch = limits.batch  # less where a round would take long
        self._rows = max((len(problem.rows) for problem in problems), default=1)
        neurons = sum(box.lower.numel() for box in problems[0].pre.values()) if problems else 1
        self._most_open = limits.memory // (8 * max(1, neurons))  # a slope and a multiplier for each

    def has_roots(self) -> bool:
        """Some whole boxes have not been bounded yet."""
        return self._rooted < len(self.problems)

    def can_split(self) -> bool:
        """The network has ReLUs; without any, DeepPoly's bound is exact and nothing here improves it."""
        return any(problem.pre for problem in self.problems)

    def is_open(self) -> bool:
        return any(p.done is None for p in self.progress)

    def of_owner(self, owner: int) -> dict[int, Progress]:
        """Where an input's problems stand, by number of their specification row."""
        return {self.problems[i].number: self.progress[i] for i in self._of_owner[owner]}

    def take_finished(self) -> list[int]:
        """Owners whose last open problem ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def take_candidates(self) -> dict[int, torch.Tensor]:
        """Points [*v] of the last round at which a row is broken in float32, by owner."""
        found, self._candidates = self._candidates, {}
        return found

    def stop_owner(self, owner: int, reason: str) -> None:
        """End whatever is open of an input."""
        for i in self._of_owner[owner]:
            if self.progress[i].done is None:
                self._end(i, reason)

    def _end(self, problem: int, how: str) -> None:
        self.progress[problem].done, self.progress[problem].open = how, []
        owner = self.problems[problem].owner
        if all(self.progress[i].done is not None for i in self._of_owner[owner]):
            self._finished.append(owner)

    def run_round(self) -> None:
        began = time.perf_counter()
        domains, steps = self._roots(), self.limits.root_steps
        if not domains:
            domains = self._next_children()
            steps = _LAST_STEPS if any(domain.again for domain in domains) else self.limits.steps
        if domains:
            for domain in self._bounded(domains, steps):
                self.progress[domain.problem].open.append(domain)
        shares: dict[int, int] = defaultdict(int)
        for domain in domains:
            shares[domain.problem] += 1
        elapsed = time.perf_counter() - began
        if domains:
            fits = int(_ROUND * len(domains) / max(elapsed, 1e-6))
            self._batch = max(_LEAST, min(self.limits.batch, fits, 4 * len(domains)))
        for problem, count in shares.items():
            self.progress[problem].seconds += elapsed * count / len(domains)
            self.progress[problem].visited += count
            self._settle(problem)
        self._forget()

    def _roots(self) -> list[Domain]:
        """The next whole boxes that have not been bounded yet."""
        chosen = [i for i in range(self._rooted, len(self.problems)) if self.progress[i].done is None]
        chosen = chosen[: self._batch]
        self._rooted = chosen[-1] + 1 if chosen else len(self.problems)
        roots = []
        for i in chosen:
            known = self.problems[i].pre
            boxes = {n: Box(b.lower[None].float(), b.upper[None].float()) for n, b in known.items()}
            dual = start_dual(self.graph, boxes, 1)
            slopes, multipliers = (
                {name: value[0] for name, value in part.items()} for part in (dual.slopes, dual.multipliers)
            )
            roots.append(Domain(i, (), -float("inf"), slopes, multipliers, self._weights(self.problems[i])))
        return roots

    def _weights(self, problem: Problem) -> torch.Tensor:
        count = len(problem.rows)
        start = torch.full((count,), 1 / count) if problem.weights is None else problem.weights.float()
        return torch.nn.functional.pad(start, (0, self._rows - count))

    def _next_children(self) -> list[Domain]:
        """Children of the loosest open subdomains, as many of each problem as its fair share of the batch.

        Where there are more problems than places, those served least come first.
        """
        places = max(1, self._batch // 2)
        waiting = sorted((p for p in self.progress if p.done is None and p.open), key=lambda p: p.visited)[:places]
        parents: list[Domain] = []
        for left, progress in zip(range(len(waiting), 0, -1), sorted(waiting, key=lambda p: len(p.open)), strict=True):
            share = (places - len(parents)) // left
            progress.open.sort(key=lambda domain: -domain.bound)
            parents += progress.open[-share:]
            del progress.open[-share:]
        return [child for parent in parents for child in parent.children()]

    def _bounded(self, domains: list[Domain], steps: int) -> list[Domain]:
        """Bound the domains; returns those that stay open, with their next split."""
        work = batch(self.graph, self.params, [self.problems[d.problem] for d in domains], torch.float32, self._rows)
        signs = split_signs(domains, work.pre)
        pre = clip(work.pre, signs)
        splitting = any(domain.splits for domain in domains)
        bound, dual = tighten(
            self.graph,
            work.params,
            work.base,
            work.spec,
            pre,
            stacked_dual(domains),
            signs if splitting else None,
            steps=steps,
        )
        proved = self._confirmed(domains, bound[:, 0] > 0, dual)
        impact = split_impact(self.graph, work.params, work.base, work.spec, pre, dual, signs)
        corners, reached = worst_corners(self.graph, work, pre, dual, signs)
        names, work_weights = list(impact), torch.ones(len(domains), 1) if dual.weights is None else dual.weights
        chosen = best_split(self.graph, work, pre, dual, signs, impact).tolist()
        widths = [impact[name][0].numel() for name in names]
        rest = []
        for row, (domain, best) in enumerate(zip(domains, chosen, strict=True)):
            if proved[row]:
                continue
            domain.bound = float(bound[row, 0])
            if reached[row] <= 0:
                self._candidates[self.problems[domain.problem].owner] = corners[row]
            domain.slopes = {name: dual.slopes[name][row].clone() for name in names}
            domain.multipliers = {name: dual.multipliers[name][row].clone() for name in names}
            domain.weights = work_weights[row].clone()
            domain.branch = _locate(names, widths, best) if best >= 0 else None
            rest.append(domain)
        return rest

    def _confirmed(self, domains: list[Domain], hopeful: torch.Tensor, dual: Dual) -> list[bool]:
        """Which hopeful domains hold in float64 with the rounding margin."""
        rows = hopeful.nonzero().flatten().tolist()
        proved = [False] * len(domains)
        if not rows:
            return proved
        chosen = [domains[row] for row in rows]
        work = batch(self.graph, self.params, [self.problems[d.problem] for d in chosen], torch.float64, self._rows)
        signs = split_signs(chosen, work.pre)
        exact = Dual(
            {name: value[rows].double() for name, value in dual.slopes.items()},
            {name: value[rows].double() for name, value in dual.multipliers.items()},
            None if dual.weights is None else dual.weights[rows].double(),
        )
        pre = clip(work.pre, signs)
        bounds = dual_bound(self.graph, work.params, work.base, work.spec, pre, exact, signs)
        for row, value in zip(rows, bounds[:, 0].tolist(), strict=True):
            proved[row] = value > self.margins[domains[row].problem]
            if proved[row]:
                progress = self.progress[domains[row].problem]
                progress.proved = min(progress.proved, value)
        return proved

    def _settle(self, problem: int) -> None:
        progress = self.progress[problem]
        if progress.done is not None:
            return
        if not progress.open:
            self._end(problem, "")
            return
        progress.bound = max(progress.bound, min(domain.bound for domain in progress.open))
        owner = self.problems[problem].owner
        if not isfinite(progress.bound):
            self.stop_owner(owner, "the bounds overflow")
        elif sum(self.progress[i].seconds for i in self._of_owner[owner]) > self.limits.seconds:
            self.stop_owner(owner, f"timeout after {self.limits.seconds:g} s")
        elif len(progress.open) > self.limits.domains:
            self.stop_owner(owner, f"more than {self.limits.domains} open subdomains")
        elif any(domain.branch is None and domain.again >= _LAST_TRIES for domain in progress.open):
            self.stop_owner(owner, "every ReLU split, the bound still not positive")

    def _forget(self) -> None:
        """Where the open subdomains outgrow the memory, gives up the input that holds the most."""
        held: dict[int, int] = defaultdict(int)
        for problem, progress in zip(self.problems, self.progress, strict=True):
            held[problem.owner] += len(progress.open)
        while sum(held.values()) > self._most_open:
            owner = max(held, key=lambda each: held[each])
            del held[owner]
            self.stop_owner(owner, "out of memory for open subdomains")


def _locate(names: list[str], widths: list[int], index: int) -> tuple[str, int]:
    for name, width in zip(names, widths, strict=True):
        if index < width:
            return name, index
        index -= width
    raise IndexError(index)
