"""Branch and bound on ReLU splits over one frontier of subdomains of many problems (β-CROWN, Wang et al. 2021).

The search runs in float32; a subdomain is closed only when its bound, recomputed in float64 from the slopes and
multipliers that the search found, exceeds the rounding margin.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field

import torch

from ..bounds.beta_crown import Dual, dual_bound, split_impact, start_dual, tighten
from ..graph import Graph
from ..ops import Params
from .domains import Domain, clip, split_signs, stacked_dual
from .problem import Problem, batch


@dataclass(frozen=True)
class Limits:
    """Per input: seconds of its share of the work. Per problem: open subdomains. Per round: subdomains bounded together."""

    seconds: float
    domains: int = 20_000
    batch: int = 256
    steps: int = 12
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
        self._of_owner: dict[int, list[Progress]] = defaultdict(list)
        for problem, progress in zip(problems, self.progress, strict=True):
            self._of_owner[problem.owner].append(progress)
        self._rooted = 0

    def has_roots(self) -> bool:
        """Some whole boxes have not been bounded yet."""
        return self._rooted < len(self.problems)

    def is_open(self) -> bool:
        return any(p.done is None for p in self.progress)

    def stop(self, problem: int, reason: str) -> None:
        """End a problem from outside: its input is decided otherwise."""
        progress = self.progress[problem]
        if progress.done is None:
            progress.done, progress.open = reason, []

    def stop_owner(self, owner: int, reason: str) -> None:
        for problem, stated in enumerate(self.problems):
            if stated.owner == owner:
                self.stop(problem, reason)

    def run_round(self) -> None:
        began = time.perf_counter()
        domains, steps = self._roots(), self.limits.root_steps
        if not domains:
            domains, steps = self._next_children(), self.limits.steps
        if domains:
            for domain in self._bounded(domains, steps):
                self.progress[domain.problem].open.append(domain)
        shares: dict[int, int] = defaultdict(int)
        for domain in domains:
            shares[domain.problem] += 1
        elapsed = time.perf_counter() - began
        for problem, count in shares.items():
            self.progress[problem].seconds += elapsed * count / len(domains)
            self.progress[problem].visited += count
            self._settle(problem)

    def _roots(self) -> list[Domain]:
        """The next whole boxes that have not been bounded yet."""
        chosen = [i for i in range(self._rooted, len(self.problems)) if self.progress[i].done is None]
        chosen = chosen[: self.limits.batch]
        self._rooted = chosen[-1] + 1 if chosen else len(self.problems)
        roots = []
        for i in chosen:
            pre = {
                name: type(b)(b.lower[None].float(), b.upper[None].float()) for name, b in self.problems[i].pre.items()
            }
            dual = start_dual(pre, 1)
            roots.append(Domain(i, (), -float("inf"), *({n: t[0] for n, t in part.items()} for part in dual)))
        return roots

    def _next_children(self) -> list[Domain]:
        """Children of the loosest open subdomains, as many of each problem as its fair share of the batch."""
        waiting = [p for p in self.progress if p.done is None and p.open]
        parents: list[Domain] = []
        for left, progress in zip(range(len(waiting), 0, -1), sorted(waiting, key=lambda p: len(p.open)), strict=True):
            share = max(1, (self.limits.batch // 2 - len(parents)) // left)
            progress.open.sort(key=lambda domain: -domain.bound)
            parents += progress.open[-share:]
            del progress.open[-share:]
        return [child for parent in parents for child in parent.children()]

    def _bounded(self, domains: list[Domain], steps: int) -> list[Domain]:
        """Bound the domains; returns those that stay open, with their next split."""
        work = batch(self.graph, self.params, [self.problems[d.problem] for d in domains], torch.float32)
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
        names = list(impact)
        scores = torch.cat([impact[name].flatten(1) for name in names], 1)
        widths = [impact[name][0].numel() for name in names]
        rest = []
        for row, (domain, best) in enumerate(zip(domains, scores.max(1).indices.tolist(), strict=True)):
            if proved[row]:
                continue
            domain.bound = float(bound[row, 0])
            domain.slopes = {name: dual.slopes[name][row].clone() for name in names}
            domain.multipliers = {name: dual.multipliers[name][row].clone() for name in names}
            domain.branch = _locate(names, widths, best) if scores[row, best] > -torch.inf else None
            rest.append(domain)
        return rest

    def _confirmed(self, domains: list[Domain], hopeful: torch.Tensor, dual: Dual) -> list[bool]:
        """Which hopeful domains hold in float64 with the rounding margin."""
        rows = hopeful.nonzero().flatten().tolist()
        proved = [False] * len(domains)
        if not rows:
            return proved
        chosen = [domains[row] for row in rows]
        work = batch(self.graph, self.params, [self.problems[d.problem] for d in chosen], torch.float64)
        signs = split_signs(chosen, work.pre)
        exact = Dual(*({name: value[rows].double() for name, value in part.items()} for part in dual))
        bounds = dual_bound(self.graph, work.params, work.base, work.spec, clip(work.pre, signs), exact, signs)
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
            progress.done = ""
            return
        progress.bound = max(progress.bound, min(domain.bound for domain in progress.open))
        owner = self.problems[problem].owner
        if sum(each.seconds for each in self._of_owner[owner]) > self.limits.seconds:
            self.stop_owner(owner, f"timeout after {self.limits.seconds:g} s")
        elif len(progress.open) > self.limits.domains:
            self.stop_owner(owner, f"more than {self.limits.domains} open subdomains")
        elif any(domain.branch is None for domain in progress.open):
            self.stop_owner(owner, "every ReLU split, the bound still not positive")


def _locate(names: list[str], widths: list[int], index: int) -> tuple[str, int]:
    for name, width in zip(names, widths, strict=True):
        if index < width:
            return name, index
        index -= width
    raise IndexError(index)
