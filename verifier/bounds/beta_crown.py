"""α- and β-CROWN: lower bounds of specification rows, tightened by gradient ascent on slopes and split multipliers.

    max over α in [0, 1], β >= 0 of  min over the box of  A(α, β) · x + constant(α, β)

α are the lower slopes of unstable neurons (Xu et al. 2021, arXiv:2011.13824), one per specification row; β >= 0 are
the multipliers of the signs fixed by splits (Wang et al. 2021, arXiv:2103.06624). Every iterate is a sound bound; the
best is kept. Pre-activation boxes stay as given.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import Box, Params
from .interval import nonlinearities
from .specification import Spec
from .substitution import Anchor, relax, spec_bound


class Dual(NamedTuple):
    """Slopes and split multipliers, each [B, M, *v], by name of the nonlinearity's input.

    weights [B, M] >= 0, where given, sum the rows to one before it is bounded: a positive sum shows that some row is
    positive at every point. Slopes and multipliers are then [B, 1, *v].
    """

    slopes: dict[str, Tensor]
    multipliers: dict[str, Tensor]
    weights: Tensor | None = None


def start_dual(graph: Graph, pre: Mapping[str, Box], rows: int) -> Dual:
    """The slopes that DeepPoly takes and no multipliers, for M = rows."""
    slopes, operators = {}, nonlinearities(graph)
    for name, box in pre.items():
        least = operators[name].start_slope(box).unsqueeze(1)
        slopes[name] = least.expand(-1, rows, *least.shape[2:]).contiguous()
    return Dual(slopes, {name: torch.zeros_like(slope) for name, slope in slopes.items()})


def mixed(spec: Spec, weights: Tensor | None) -> Spec:
    """The rows, or the one row [B, 1, K] that is their sum with `weights` [B, M]."""
    if weights is None:
        return spec
    return Spec(
        torch.einsum("bm,bmk->bk", weights, spec.rows).unsqueeze(1), (weights * spec.offset).sum(1, keepdim=True)
    )


def dual_bound(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    signs: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The bound [B, M] of given slopes and multipliers. signs [B, *v]: 1 where a split has z >= 0, -1 where z <= 0."""
    lagrangian = signs and {name: -sign.unsqueeze(1) * dual.multipliers[name] for name, sign in signs.items()}
    return spec_bound(graph, params, base, mixed(spec, dual.weights), relax(graph, pre, dual.slopes), lagrangian)


def tighten(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    signs: Mapping[str, Tensor] | None = None,
    *,
    steps: int,
    rate: float = 0.25,
    decay: float = 0.95,
) -> tuple[Tensor, Dual]:
    """The best bound [B, M] over `steps` steps of Adam from `dual`, and the slopes and multipliers that gave it."""
    slopes = {name: slope.clone().requires_grad_() for name, slope in dual.slopes.items()}
    multipliers = {name: value.clone().requires_grad_(signs is not None) for name, value in dual.multipliers.items()}
    several = dual.weights is not None and dual.weights.shape[1] > 1
    weights = dual.weights.clone().requires_grad_() if several and dual.weights is not None else dual.weights
    current, best_dual = Dual(slopes, multipliers, weights), dual
    ascents = [_Adam(slope, rate) for slope in slopes.values()]
    if signs is not None:
        ascents += [_Adam(value, rate / 2) for value in multipliers.values()]
    if several and weights is not None:
        ascents.append(_Adam(weights, rate / 2))
    best = torch.full_like(next(iter(dual.slopes.values())).flatten(2)[:, :, 0], -torch.inf)
    kept = dual.weights
    for step in range(steps + 1):
        with torch.enable_grad():
            bound = dual_bound(graph, params, base, spec, pre, current, signs)
        value = bound.detach()
        better = value > best
        best = torch.where(better, value, best)
        best_dual = Dual(
            _keep(better, slopes, best_dual.slopes), _keep(better, multipliers, best_dual.multipliers), dual.weights
        )
        if several and weights is not None and kept is not None:
            kept = torch.where(better, weights.detach(), kept)
        if step == steps or bool((best > 0).all()):
            break
        gradients = torch.autograd.grad(bound.sum(), [ascent.value for ascent in ascents])
        for ascent, gradient in zip(ascents, gradients, strict=True):
            ascent.step(gradient, decay**step)
        for slope in slopes.values():
            slope.detach().clamp_(0, 1)
        for multiplier in multipliers.values():
            multiplier.detach().clamp_(min=0)
        if several and weights is not None:
            weights.detach().clamp_(min=1e-6).div_(weights.detach().sum(1, keepdim=True))
    return best, best_dual._replace(weights=kept)


class _Adam:
    """Ascent by Adam (Kingma and Ba 2015). torch's own would import its compiler, two seconds, at the first step."""

    def __init__(self, value: Tensor, rate: float) -> None:
        self.value, self.rate, self.steps = value, rate, 0
        self.mean, self.square = torch.zeros_like(value), torch.zeros_like(value)

    def step(self, gradient: Tensor, shrink: float) -> None:
        self.steps += 1
        self.mean.mul_(0.9).add_(gradient, alpha=0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        self.value.detach().addcdiv_(mean, square.sqrt_().add_(1e-8), value=self.rate * shrink)


def _keep(better: Tensor, new: dict[str, Tensor], old: dict[str, Tensor]) -> dict[str, Tensor]:
    def pick(name: str) -> Tensor:
        mask = better.reshape(*better.shape, *[1] * (new[name].dim() - 2))
        return torch.where(mask, new[name].detach(), old[name])

    return {name: pick(name) for name in new}


def split_impact(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    signs: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """How much of the bound each unstable neuron's relaxation gives away, [B, *v] by name; -inf for stable neurons.

    The bound's derivative by the start of a line is the coefficient that met this line; times the line's distance from
    the ReLU it is the slack a split removes (the bound-impact score of Bunel et al. 2020, BaBSR).
    """
    lines = relax(graph, pre, dual.slopes)
    with torch.enable_grad():
        for name, line in lines.items():
            start = torch.zeros_like(line.lower_slope).requires_grad_()
            lines[name] = line._replace(lower_start=start, upper_start=line.upper_start.detach().requires_grad_())
        lagrangian = {name: -sign.unsqueeze(1) * dual.multipliers[name] for name, sign in signs.items()}
        bound = spec_bound(graph, params, base, mixed(spec, dual.weights), lines, lagrangian)
        starts = [
            start for line in lines.values() for start in (line.lower_start, line.upper_start) if start is not None
        ]
        slopes = torch.autograd.grad(bound.sum(), starts)
    impact = {}
    for (name, line), to_lower, to_upper in zip(lines.items(), slopes[::2], slopes[1::2], strict=True):
        lower, upper = pre[name].lower.unsqueeze(1), pre[name].upper.unsqueeze(1)
        gap = torch.minimum((1 - line.lower_slope) * upper, -line.lower_slope * lower).clamp(min=0)
        gap = gap + 1e-3 * torch.minimum(upper, -lower)  # a slope of 0 or 1 is tight on one side only
        score = (-to_upper * line.upper_start + to_lower * gap).sum(1)
        unstable = (pre[name].lower < 0) & (pre[name].upper > 0)
        impact[name] = torch.where(unstable, score.detach(), -torch.inf)
    return impact
