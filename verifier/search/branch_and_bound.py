"""Branch and bound on splits of neurons over one frontier of subdomains of many problems (β-CROWN, Wang et al. 2021).

The search runs in float32; a subdomain is closed only when its bound, recomputed in float64 from the slopes and
multipliers that the search found, exceeds what may have rounded in it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from ..engine.dual import Dual, dual_bounds, start_dual
from ..engine.engine import Engine
from ..engine.impact import split_impact
from ..engine.plan import Array
from ..functions import Box
from .branching import BRANCHING, Undivided
from .cost import subdomain_seconds
from .domains import Branch, Domain, Packing, clip
from .frontier import Frontier
from .frontier import Limits as Limits
from .kept_proofs import KeptProofs, rounded
from .problem import Batch, Problem, batch, rows_at
from .proof import Prover

_ROUND = 0.7  # seconds that a round should take at most, as `cost` reckons them
_LEAST = 8  # subdomains of a round, however long
_COPIES = 16  # numbers for each neuron of a subdomain that is being bounded


class BranchAndBound(Frontier):
    """`run_round` bounds one batch of subdomains, shared fairly among the open problems."""

    def __init__(self, engine: Engine, problems: Sequence[Problem], limits: Limits) -> None:
        problems = list(problems)
        self.engine, self._packing = engine, Packing(engine.bends)
        kept = {id(problem.pre): problem.pre for problem in problems}  # problems of one input share their boxes
        numbers = {key: self._packing.kept(pre) for key, pre in kept.items()}
        super().__init__(problems, limits, max((len(index) for index in numbers.values()), default=0))
        self._kept = [numbers[id(problem.pre)] for problem in problems]
        self._candidates: dict[int, tuple[float, Array]] = {}
        self.seconds_each = subdomain_seconds(engine.multiplications)
        fits = min(limits.memory // (_COPIES * 4 * max(1, engine.neurons)), int(_ROUND / self.seconds_each))
        self.batch = max(_LEAST, min(limits.batch, fits))
        self._rows = max((len(problem.rows) for problem in problems), default=1)
        self._rule = BRANCHING[limits.branching]
        self.prover = Prover(engine, self.problems, self._rows)
        self.proofs = KeptProofs(engine.bends, self._kept, limits.proofs) if limits.proofs else None

    def has_roots(self) -> bool:
        """Some whole boxes have not been bounded yet."""
        return any(progress.done is None and progress.whole for progress in self.progress)

    def take_candidates(self) -> dict[int, Array]:
        """Points [n] of the last round at which a row is broken, the lowest of each owner."""
        found, self._candidates = self._candidates, {}
        return {owner: point for owner, (_, point) in found.items()}

    def restart(self, owner: int, pre: dict[str, Box]) -> None:
        """Begins the open problems of an input anew, with other boxes."""
        kept = self._packing.kept(pre)
        for i in self.open_of(owner):
            self.problems[i], self._kept[i] = replace(self.problems[i], pre=pre), kept
            if self.proofs is not None:
                self.proofs.restart(i, kept)
            progress = self.progress[i]
            progress.whole, progress.proved, progress.open, progress.over = True, inf, [], []

    def run_round(self) -> None:
        began = time.perf_counter()
        roots = self._roots()
        domains = roots or self.next_children(max(1, self.batch // 2))
        if not domains:
            return
        rest = self._tightened(domains, self.limits.root_steps if roots else self.limits.steps)
        rest = self.finish(rest, 0 if roots else len(domains))
        self.branch(rest)
        for domain in rest:
            self.add(domain)
        self.account(domains, time.perf_counter() - began)

    def stacked(self, domains: Sequence[Domain]) -> Dual:
        """Their slopes, multipliers and weights."""
        return self._packing.stacked(domains, self._kept_of(domains))

    def _kept_of(self, domains: Sequence[Domain]) -> list[Array]:
        return [self._kept[domain.problem] for domain in domains]

    def _roots(self) -> list[Domain]:
        """The next whole boxes that have not been bounded yet."""
        chosen = [i for i, progress in enumerate(self.progress) if progress.done is None and progress.whole]
        roots = []
        for i in chosen[: self.batch]:
            self.progress[i].whole = False
            none = np.zeros(0, np.float32)
            roots.append(Domain(i, (), -inf, none, none, self._weights(self.problems[i])))
        if roots:
            work = self._batch(roots)
            dual = start_dual(work.engine, work.pre, 1)
            self._packing.keep(roots, dual, self._kept_of(roots))
        return roots

    def _weights(self, problem: Problem) -> Array:
        count = len(problem.rows)
        start = np.full(count, 1 / count) if problem.weights is None else problem.weights
        return self.padded(start.astype(np.float32))

    def padded(self, weights: Array) -> Array:
        return np.pad(weights, (0, self._rows - len(weights)))

    def _batch(self, domains: Sequence[Domain]) -> Batch:
        return batch(self.engine.single, [self.problems[domain.problem] for domain in domains], self._rows)

    def _tightened(self, domains: list[Domain], steps: int) -> list[Domain]:
        """The domains that a few steps of ascent do not close, with the best dual they led to."""
        work = self._batch(domains)
        pre, cuts = clip(work.pre, domains)
        split = cuts if any(domain.splits for domain in domains) else None
        start = self._anew(domains, pre, self.stacked(domains))
        found = dual_bounds(work.engine, work.spec, pre, start, split, work.anchor, steps=steps)
        bounds = found.bound[:, 0].tolist()
        self._packing.keep(domains, found.dual, self._kept_of(domains))
        for domain, bound in zip(domains, bounds, strict=True):
            domain.bound = max(domain.bound, bound)  # of its parent too
        hopeful = [domain for domain, bound in zip(domains, bounds, strict=True) if bound > 0]
        return self.unproved(domains, hopeful, self.stacked(hopeful)) if hopeful else domains

    def _anew(self, domains: list[Domain], pre: Mapping[str, Box], dual: Dual) -> Dual:
        """The dual with the slope of each domain's last split as on a box of its own: a curve's bend has changed."""
        for name, bend in self.engine.bends.items():
            last = [
                (row, d.splits[-1].neuron) for row, d in enumerate(domains) if d.splits and d.splits[-1].name == name
            ]
            if last and not bend.function.kinked:
                at = tuple(np.array(last).T)
                own = Box(pre[name].lower[at], pre[name].upper[at])
                dual.slopes[name][at[0], 0, at[1]] = bend.function.start_slope(own)
        return dual

    def finish(self, domains: list[Domain], bounded: int) -> list[Domain]:
        """The domains that other means do not close: here there are none. bounded: of how many these are left, 0 of
        whole boxes."""
        return domains

    def unproved(self, domains: list[Domain], hopeful: list[Domain], dual: Dual) -> list[Domain]:
        """The domains without those hopeful ones that their row of the dual proves."""
        closed = set()
        if self.proofs is not None:
            dual = rounded(dual)
        for row, (domain, (bound, needed)) in enumerate(zip(hopeful, self.prover.bounds(hopeful, dual), strict=True)):
            if bound > needed:
                closed.add(id(domain))
                progress = self.progress[domain.problem]
                progress.proved = min(progress.proved, bound)
                if self.proofs is not None:
                    self.proofs.close(domain, dual, row, len(self.problems[domain.problem].rows))
        return [domain for domain in domains if id(domain) not in closed]

    def propose(self, problem: int, point: Array, most: float = 0.0) -> None:
        """A point [n], if no row of a clause is beyond `most` there in float64."""
        known = self.problems[problem]
        value = float(np.max(known.rows @ self.engine.evaluate(point[None])[0] + known.offset))
        if value <= self._candidates.get(known.owner, (most,))[0]:
            self._candidates[known.owner] = value, point

    def branch(self, domains: list[Domain]) -> None:
        """Chooses each domain's next split; on the way, points where the bounds are taken."""
        if not domains:
            return
        work, dual = self._batch(domains), self.stacked(domains)
        pre, cuts = clip(work.pre, domains)
        seen = dual_bounds(work.engine, work.spec, pre, dual, cuts, work.anchor, look=True).shown()
        impact, corners = split_impact(work.engine, pre, dual, seen.met), seen.corner[:, 0]
        for row in np.flatnonzero(rows_at(work, corners) <= 0).tolist():
            self.propose(domains[row].problem, corners[row])
        none = np.zeros((len(domains), 0), np.float32)
        scores = np.concatenate([none, *impact.values()], 1)
        known = np.array([domain.bound for domain in domains], np.float32)
        chosen = self._rule(Undivided(work, pre, cuts, dual, scores, known))
        ends = np.cumsum([own.shape[1] for own in impact.values()])
        names = list(impact)
        for row in np.flatnonzero(chosen >= 0).tolist():
            place = int(np.searchsorted(ends, chosen[row], side="right"))
            name, neuron = names[place], int(chosen[row] - ends[place]) + impact[names[place]].shape[1]
            own = Box(*(end[row, neuron] for end in pre[name]))
            domains[row].branch = Branch(name, neuron, float(self.engine.bends[name].function.cut(own)))
