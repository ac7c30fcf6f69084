"""Branch and bound on splits of neurons over one frontier of subdomains of many problems (β-CROWN, Wang et al. 2021).

The search runs in float32; a subdomain is closed only when its bound, recomputed in float64 from the slopes and
multipliers that the search found, exceeds what may have rounded in it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import torch

from ..bounds.beta_crown import Dual, look, split_impact, start_dual, tighten
from ..bounds.interval import nonlinearities
from ..graph import Graph
from ..ops import Box, Params, evaluate
from .branching import best_split
from .cost import multiplications, subdomain_seconds
from .domains import Branch, Domain, Packing, clip, stacked_dual
from .frontier import Frontier
from .frontier import Limits as Limits
from .problem import Problem, batch, rows_at
from .proof import Prover

_ROUND = 0.7  # seconds that a round should take at most, as `cost` reckons them
_LEAST = 8  # subdomains of a round, however long
_COPIES = 16  # numbers for each neuron of a subdomain that is being bounded


class BranchAndBound(Frontier):
    """`run_round` bounds one batch of subdomains, shared fairly among the open problems."""

    def __init__(
        self,
        graph: Graph,
        params: Params,
        single: Params,
        problems: Sequence[Problem],
        limits: Limits,
    ) -> None:
        """params in float64, single the same in float32."""
        problems = list(problems)
        packings = {}  # problems of one input share their boxes
        for problem in problems:
            if id(problem.pre) not in packings:
                packings[id(problem.pre)] = _packing(graph, problem.pre)
        super().__init__(problems, limits, max((packing.size for packing in packings.values()), default=0))
        self._packing = [packings[id(problem.pre)] for problem in problems]
        self.graph, self.params, self.single = graph, params, single
        self._candidates: dict[int, tuple[float, torch.Tensor]] = {}
        neurons = sum(box.lower.numel() for box in problems[0].pre.values()) if problems else 1
        self.seconds_each = subdomain_seconds(multiplications(graph, params))
        fits = min(limits.memory // (_COPIES * 4 * max(1, neurons)), int(_ROUND / self.seconds_each))
        self.batch = max(_LEAST, min(limits.batch, fits))
        self._rows = max((len(problem.rows) for problem in problems), default=1)
        self.prover = Prover(graph, params, problems)

    def has_roots(self) -> bool:
        """Some whole boxes have not been bounded yet."""
        return any(progress.done is None and progress.whole for progress in self.progress)

    def can_split(self) -> bool:
        """The network has nonlinearities; without any, DeepPoly's bound is exact and nothing here improves it."""
        return any(problem.pre for problem in self.problems)

    def take_candidates(self) -> dict[int, torch.Tensor]:
        """Points [*v] of the last round at which a row is broken, the lowest of each owner."""
        found, self._candidates = self._candidates, {}
        return {owner: point for owner, (_, point) in found.items()}

    def restart(self, owner: int, pre: dict[str, Box]) -> None:
        """Begins the open problems of an input anew, with other boxes."""
        packing = _packing(self.graph, pre)
        for i in self.open_of(owner):
            self.problems[i], self._packing[i] = replace(self.problems[i], pre=pre), packing
            progress = self.progress[i]
            progress.whole, progress.proved, progress.open, progress.over = True, inf, [], []

    def run_round(self) -> None:
        began = time.perf_counter()
        roots = self._roots()
        domains = roots or [self.spelled(domain) for domain in self.next_children(max(1, self.batch // 2))]
        if not domains:
            return
        rest = self._tightened(domains, self.limits.root_steps if roots else self.limits.steps)
        if not roots:
            rest = self.finish(rest, len(domains))
        self.branch(rest)
        for domain in rest:
            self.add(self._packing[domain.problem].packed(domain))
        self.account(domains, time.perf_counter() - began)

    def _roots(self) -> list[Domain]:
        """The next whole boxes that have not been bounded yet."""
        chosen = [i for i, progress in enumerate(self.progress) if progress.done is None and progress.whole]
        roots = []
        for i in chosen[: self.batch]:
            self.progress[i].whole = False
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
        return self.padded(start)

    def padded(self, weights: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(weights, (0, self._rows - len(weights)))

    def _tightened(self, domains: list[Domain], steps: int) -> list[Domain]:
        """The domains that a few steps of ascent do not close, with the best dual they led to."""
        work = batch(self.graph, self.single, [self.problems[d.problem] for d in domains], self._rows)
        pre, cuts = clip(work.pre, domains)
        split = cuts if any(domain.splits for domain in domains) else None
        start = self._anew(domains, pre, stacked_dual(domains))
        bound, dual = tighten(self.graph, work.params, work.base, work.spec, pre, start, split, steps=steps)
        for row, domain in enumerate(domains):
            domain.bound = max(domain.bound, float(bound[row, 0]))  # of its parent too
            domain.slopes = {name: value[row].clone() for name, value in dual.slopes.items()}
            domain.multipliers = {name: value[row].clone() for name, value in dual.multipliers.items()}
            if dual.weights is not None:
                domain.weights = dual.weights[row].clone()
        hopeful = [domain for row, domain in enumerate(domains) if bound[row, 0] > 0]
        return self.unproved(domains, hopeful, stacked_dual(hopeful) if hopeful else dual)

    def _anew(self, domains: list[Domain], pre: dict[str, Box], dual: Dual) -> Dual:
        """The dual with the slope of each domain's last split as on a box of its own: a curve's bend has changed."""
        operators, slopes = nonlinearities(self.graph), dict(dual.slopes)
        for name, operator in operators.items():
            last = [
                (row, d.splits[-1].neuron) for row, d in enumerate(domains) if d.splits and d.splits[-1].name == name
            ]
            if last and not operator.kinked:
                rows, neurons = torch.tensor(last).T
                slopes[name] = slopes[name].clone()
                slopes[name].flatten(1)[rows, neurons] = operator.start_slope(pre[name]).flatten(1)[rows, neurons]
        return dual._replace(slopes=slopes)

    def spelled(self, domain: Domain) -> Domain:
        """With slopes and multipliers of every neuron."""
        return self._packing[domain.problem].spelled(domain)

    def finish(self, domains: list[Domain], bounded: int) -> list[Domain]:
        """The domains that other means do not close: here there are none. bounded: of how many these are left."""
        return domains

    def unproved(self, domains: list[Domain], hopeful: list[Domain], dual: Dual) -> list[Domain]:
        """The domains without those hopeful ones that their row of the dual proves."""
        closed = set()
        for domain, (bound, needed) in zip(hopeful, self.prover.bounds(hopeful, dual), strict=True):
            if bound > needed:
                closed.add(id(domain))
                progress = self.progress[domain.problem]
                progress.proved = min(progress.proved, bound)
        return [domain for domain in domains if id(domain) not in closed]

    def propose(self, problem: int, point: torch.Tensor) -> None:
        """A point [*v], if some clause is broken there in float64."""
        known = self.problems[problem]
        outputs = evaluate(self.graph, self.params, point[None].double())[0]
        value = float((known.rows @ outputs + known.offset).amax())
        if value <= self._candidates.get(known.owner, (0.0,))[0]:
            self._candidates[known.owner] = value, point

    def branch(self, domains: list[Domain]) -> None:
        """Chooses each domain's next split; on the way, points where the bounds are taken."""
        if not domains:
            return
        work = batch(self.graph, self.single, [self.problems[d.problem] for d in domains], self._rows)
        pre, cuts = clip(work.pre, domains)
        dual = stacked_dual(domains)
        seen = look(self.graph, work.params, work.base, work.spec, pre, dual, cuts)
        impact, corners = split_impact(self.graph, pre, dual, seen.met), seen.corner[:, 0]
        reached = rows_at(self.graph, work, corners)
        known = torch.tensor([domain.bound for domain in domains])
        chosen = best_split(self.graph, work, pre, dual, cuts, impact, known).tolist()
        operators = nonlinearities(self.graph)
        points = torch.cat([operators[name].cut(pre[name]).flatten(1) for name in impact], 1)
        places = [(name, index) for name in impact for index in range(impact[name][0].numel())]
        for row, (domain, best) in enumerate(zip(domains, chosen, strict=True)):
            if reached[row] <= 0:
                self.propose(domain.problem, corners[row])
            if best >= 0:
                name, neuron = places[best]
                domain.branch = Branch(name, neuron, float(points[row, best]))


def _packing(graph: Graph, pre: Mapping[str, Box]) -> Packing:
    operators = nonlinearities(graph)
    return Packing({name: operators[name].unstable(box) for name, box in pre.items()})
