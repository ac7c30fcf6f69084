"""What closes a subdomain: its dual's bound, taken again in float64, above what may have rounded in it."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..engine.anchor import Anchor
from ..engine.dual import Cuts, Dual, dual_bounds, mixed, start_dual
from ..engine.engine import Engine
from ..engine.errors import Errors, analysed
from ..engine.plan import Array
from ..engine.substitution import Spec
from ..functions import Box
from .domains import Domain, clip
from .memory import rows_at_once
from .problem import Batch, Problem, batch

_TIGHT = 1e-6  # of a bound: below this part of it an error is not worth another pass


class Prover:
    def __init__(self, engine: Engine, problems: Sequence[Problem], rows: int) -> None:
        """rows: of the problem with the most."""
        self._engine, self._problems, self._rows = engine, problems, rows

    def bounds(self, domains: list[Domain], dual: Dual, *, tight: bool = False) -> list[tuple[float, float]]:
        """Each domain's bound by its own row of the dual, and what it must exceed to be a proof; `tight`: also of
        bounds below zero, where somebody asks how far.

        At first for all slopes that there may be; where that is too much, for the coefficients that there are.
        """
        if not domains:
            return []
        work = batch(self._engine, [self._problems[d.problem] for d in domains], self._rows)
        exact = double(dual)
        pre, cuts = clip(work.pre, domains)
        some = cuts if any(domain.splits for domain in domains) else None
        found = dual_bounds(self._engine, work.spec, pre, exact, some, work.anchor).bound[:, 0]
        needed = self._needed(work, pre, exact, some, found, tight)
        return list(zip(found.tolist(), needed.tolist(), strict=True))

    def _needed(
        self,
        work: Batch,
        pre: Mapping[str, Box],
        dual: Dual,
        cuts: Mapping[str, Cuts] | None,
        found: Array,
        tight: bool,
    ) -> Array:
        errors = analysed(self._engine, work.anchor, pre)
        row = mixed(work.spec, dual.weights)
        used = {} if cuts is None else dual.multipliers
        needed = (errors.rows(*row) + errors.multiplied(used, met=False))[:, 0]
        unsure = (found > 0) & ~(found > needed)
        if tight:
            unsure |= ~(needed < _TIGHT * (1 + abs(found)))
        if not unsure.any():
            return needed
        met = dual_bounds(self._engine, work.spec, pre, dual, cuts, work.anchor, look=True).shown().met
        return np.fmin(needed, (errors.met(*row, met) + errors.multiplied(used, met=True))[:, 0])


def double(dual: Dual) -> Dual:
    """In float64."""
    slopes, multipliers = (
        {name: value.astype(np.float64) for name, value in part.items()} for part in (dual.slopes, dual.multipliers)
    )
    return Dual(slopes, multipliers, None if dual.weights is None else dual.weights.astype(np.float64))


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
