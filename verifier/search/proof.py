"""What closes a subdomain: its dual's bound, taken again in float64, above what may have rounded in it."""

from collections.abc import Sequence
from operator import itemgetter

import torch
from torch import Tensor

from ..bounds import Spec
from ..bounds.beta_crown import Cuts, Dual, dual_bound, look, mixed, start_dual
from ..bounds.errors import Errors, analysed
from ..bounds.substitution import Anchor, anchor, input_anchor
from ..graph import Graph
from ..ops import Box, Params
from .domains import Domain, clip
from .memory import rows_at_once
from .problem import Batch, Problem, batch

_TIGHT = 1e-6  # of a bound: below this part of it an error is not worth another pass


class Prover:
    def __init__(self, graph: Graph, params: Params, problems: Sequence[Problem]) -> None:
        self._graph, self._params, self._problems = graph, params, problems
        self._rows = max((len(problem.rows) for problem in problems), default=1)

    def bounds(self, domains: list[Domain], dual: Dual, *, tight: bool = False) -> list[tuple[float, float]]:
        """Each domain's bound by its own row of the dual, and what it must exceed to be a proof; `tight`: also of
        bounds below zero, where somebody asks how far.

        At first for all slopes that there may be; where that is too much, for the coefficients that there are.
        """
        if not domains:
            return []
        work = batch(self._graph, self._params, [self._problems[d.problem] for d in domains], self._rows)
        exact = Dual(
            {name: value.double() for name, value in dual.slopes.items()},
            {name: value.double() for name, value in dual.multipliers.items()},
            None if dual.weights is None else dual.weights.double(),
        )
        pre, cuts = clip(work.pre, domains)
        some = cuts if any(domain.splits for domain in domains) else None
        found = dual_bound(self._graph, work.params, work.base, work.spec, pre, exact, some)[:, 0]
        needed = self._needed(work, pre, exact, some, found, tight)
        return list(zip(found.tolist(), needed.tolist(), strict=True))

    def _needed(
        self,
        work: Batch,
        pre: dict[str, Box],
        dual: Dual,
        cuts: dict[str, Cuts] | None,
        found: Tensor,
        tight: bool,
    ) -> Tensor:
        errors = analysed(self._graph, self._params, work.base, pre)
        row = mixed(work.spec, dual.weights)
        used = {} if cuts is None else dual.multipliers
        needed = (errors.rows(*row) + errors.multiplied(used, met=False))[:, 0]
        unsure = (found > 0) & ~(found > needed)
        if tight:
            unsure |= ~(needed < _TIGHT * (1 + found.abs()))
        if not bool(unsure.any()):
            return needed
        met = look(self._graph, self._params, work.base, work.spec, pre, dual, cuts).met
        return torch.fmin(needed, (errors.met(*row, met) + errors.multiplied(used, met=True))[:, 0])


def closer(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: dict[str, Box],
    errors: Errors,
    found: Tensor,
    *,
    memory: int,
) -> Tensor:
    """What DeepPoly's bounds found [B, M] of the rows must exceed to be proofs [B, M]."""
    needed = errors.rows(*spec)
    unsure = ((found > 0) & ~(found > needed)).any(1).nonzero().flatten()
    size = rows_at_once(graph, 1, memory) // spec.rows.shape[1]
    for index in unsure.split(size) if len(unsure) and pre and size else ():
        box = Box(*(end[index] for end in base.boxes[graph.input]))
        ball = None if base.ball is None else base.ball.each(itemgetter(index))
        ends = input_anchor(graph, params, box) if ball is None else anchor(graph, params, box, ball)
        own = {name: Box(*(end[index] for end in known)) for name, known in pre.items()}
        rows = Spec(spec.rows[index], spec.offset[index])
        met = look(graph, params, ends, rows, own, start_dual(graph, own, spec.rows.shape[1]), None).met
        needed[index] = torch.fmin(needed[index], errors.of(index).met(*rows, met))
    return needed
