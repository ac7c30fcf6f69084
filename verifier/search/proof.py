"""What closes a subdomain: its dual's bound, taken again in float64, above the margin for rounding."""

from collections.abc import Mapping, Sequence

import torch

from ..bounds.beta_crown import Dual, dual_bound
from ..graph import Graph
from ..ops import Box, Params
from .domains import Domain, clip
from .problem import Problem, batch
from .rounding import multiplier_margins


class Prover:
    """margins: what the bound of each problem must exceed as long as no split's multiplier is in it."""

    def __init__(self, graph: Graph, params: Params, problems: Sequence[Problem], margins: Sequence[float]) -> None:
        self._graph, self._params, self._problems, self._margins = graph, params, problems, margins
        self._rows = max((len(problem.rows) for problem in problems), default=1)
        self._units: dict[int, tuple[Mapping[str, Box], float]] = {}  # by the boxes' id, which stay alive with it

    def bounds(self, domains: list[Domain], dual: Dual) -> list[tuple[float, float]]:
        """Each domain's bound by its own row of the dual, and what it must exceed to be a proof."""
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
        found = dual_bound(self._graph, work.params, work.base, work.spec, pre, exact, some)[:, 0].tolist()
        used = torch.stack([value.abs().flatten(1).sum(1) for value in exact.multipliers.values()]).sum(0).tolist()
        return [
            (bound, self._margins[domain.problem] + (most * self._unit(domain.problem) if most else 0.0))
            for domain, bound, most in zip(domains, found, used, strict=True)
        ]

    def _unit(self, problem: int) -> float:
        """What a multiplier of one adds to the margin."""
        known = self._problems[problem]
        if id(known.pre) not in self._units:
            box, pre, ball = known.region()
            self._units[id(known.pre)] = known.pre, float(multiplier_margins(self._graph, self._params, box, pre, ball))
        return self._units[id(known.pre)][1]
