"""What closes a subdomain: its dual's bound, taken again in float64, above what may have rounded in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..engine.anchor import Anchor
from ..engine.dual import Dual, dual_bounds, mixed, start_dual
from ..engine.engine import Engine
from ..engine.errors import Errors, analysed
from ..engine.plan import Array
from ..engine.substitution import Spec
from ..functions import Box
from .domains import Domain, clip
from .memory import rows_at_once
from .problem import Problem, batch

_TIGHT = 1e-6  # of a bound: below this part of it an error is not worth another pass
_SHARED = 4  # domains of one region
_KEPT = 1 << 22  # entries of all values, of the regions whose errors are kept


class Prover:
    def __init__(self, engine: Engine, problems: Sequence[Problem], rows: int) -> None:
        """rows: of the problem with the most."""
        self._engine, self._problems, self._rows = engine, problems, rows
        self._whole: dict[int, tuple[Mapping[str, Box], Errors]] = {}  # of whole regions, by their boxes' id

    def bounds(self, domains: list[Domain], dual: Dual, *, tight: bool = False) -> list[tuple[float, float]]:
        """Each domain's bound by its own row of the dual, and what it must exceed to be a proof; `tight`: also of
        bounds below zero, where somebody asks how far.

        At first for all slopes and points that its problem has; where that is too much, for its own boxes, and then for
        the coefficients that there are.
        """
        if not domains:
            return []
        work = batch(self._engine, [self._problems[d.problem] for d in domains], self._rows)
        exact = double(dual)
        pre, cuts = clip(work.pre, domains)
        some = cuts if any(domain.splits for domain in domains) else None
        found = dual_bounds(self._engine, work.spec, pre, exact, some, work.anchor).bound[:, 0]

        def unsure(needed: Array) -> bool:
            short = (found > 0) & ~(found > needed)
            return bool((short | ~(needed < _TIGHT * (1 + abs(found))) if tight else short).any())

        row, used = mixed(work.spec, exact.weights), {} if some is None else exact.multipliers
        needed = self._of_whole(domains, row, used)
        if unsure(needed):
            errors = analysed(self._engine, work.anchor, pre)
            needed = (errors.rows(*row) + errors.multiplied(used, met=False))[:, 0]
            if unsure(needed):
                met = dual_bounds(self._engine, work.spec, pre, exact, some, work.anchor, look=True).shown().met
                needed = np.fmin(needed, (errors.met(*row, met) + errors.multiplied(used, met=True))[:, 0])
        return list(zip(found.tolist(), needed.tolist(), strict=True))

    def _of_whole(self, domains: Sequence[Domain], row: Spec, used: Mapping[str, Array]) -> Array:
        """What the bounds of rows [D, 1, K] must exceed [D], whatever part of its problem's region a domain is;
        infinite where too few share one for that to be less work."""
        needed, shared = np.full(len(domains), np.inf), dict[int, list[int]]()
        for place, domain in enumerate(domains):
            shared.setdefault(id(self._problems[domain.problem].pre), []).append(place)
        for index in shared.values():
            if len(index) < _SHARED:
                continue
            errors = self._errors(self._problems[domains[index[0]].problem])
            own = {name: value[index] for name, value in used.items()}
            rows = errors.rows(row.rows[index], row.offset[index])
            needed[index] = (rows + errors.multiplied(own, met=False))[:, 0]
        return needed

    def _errors(self, problem: Problem) -> Errors:
        known = self._whole.get(id(problem.pre))
        if known is None:
            values = sum(self._engine.size(number) for number in range(len(self._engine.plan.values)))
            if (len(self._whole) + 1) * values > _KEPT:
                self._whole.clear()
            known = problem.pre, analysed(self._engine, *problem.region())
            self._whole[id(problem.pre)] = known
        return known[1]


def double(dual: Dual) -> Dual:
    """In float64."""
    slopes, multipliers = (
        {name: value.astype(np.float64) for name, value in part.items()} for part in (dual.slopes, dual.multipliers)
    )
    return Dual(slopes, multipliers, None if dual.weights is None else dual.weights.astype(np.float64))


def aimed(engine: Engine, problems: Sequence[Problem]) -> list[Problem]:
    """The problems with their margins: what a bound of one of the rows on the whole region must exceed to be a proof,
    at least. Of a network that does not round that is next to nothing."""
    if not engine.deployed.unit:
        return list(problems)
    whole: dict[int, Errors] = {}  # of regions, by their boxes' id
    found = []
    for problem in problems:
        anchor, pre = problem.region()
        if id(problem.pre) not in whole:
            whole[id(problem.pre)] = analysed(engine, anchor, pre)
        spec, errors = Spec(problem.rows[None], problem.offset[None]), whole[id(problem.pre)]
        start = start_dual(engine, pre, len(problem.rows))
        met = dual_bounds(engine, spec, pre, start, None, anchor, look=True).shown().met
        needed = np.fmin(errors.rows(*spec), errors.met(*spec, met))
        found.append(replace(problem, margin=float(needed.min())))
    return found


def closer(
    engine: Engine,
    anchor: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    errors: Errors,
    found: Array,
    *,
    memory: int,
) -> Array:
    """What DeepPoly's bounds found [B, M] of the rows must exceed to be proofs [B, M]."""
    needed = errors.rows(*spec)
    unsure = np.flatnonzero(((found > 0) & ~(found > needed)).any(1))
    size = rows_at_once(engine, 1, memory) // spec.rows.shape[1]
    for first in range(0, len(unsure), size) if pre and size else ():
        index = unsure[first : first + size]
        own = {name: Box(box.lower[index], box.upper[index]) for name, box in pre.items()}
        rows = Spec(spec.rows[index], spec.offset[index])
        dual = start_dual(engine, own, spec.rows.shape[1])
        met = dual_bounds(engine, rows, own, dual, None, anchor.take(index), look=True).shown().met
        needed[index] = np.fmin(needed[index], errors.of(index).met(*rows, met))
    return needed
