"""α- and β-CROWN: lower bounds of specification rows, tightened by gradient ascent on slopes and split multipliers.

    max over α in [0, 1], β of  min over the box of  A(α, β) · x + constant(α, β)

α are the lower slopes of unstable neurons (Xu et al. 2021, arXiv:2011.13824), one per specification row; β belong
to the ends of boxes that splits moved, at 0 (Wang et al. 2021, arXiv:2103.06624) or anywhere (Shi et al. 2024,
arXiv:2405.21063):

    0 >= β (z - u)  for β > 0,   0 >= β (z - l)  for β < 0,   wherever l <= z <= u

Every iterate is a sound bound; the best is kept. Pre-activation boxes stay as given.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import Box, Lines, Nonlinear, Params
from ..ops.forms import signed_parts, whole
from .backward import carried
from .ball import CutBall
from .dual import Cuts as Cuts
from .dual import Dual as Dual
from .dual import Look as Look
from .dual import held
from .interval import nonlinearities, piecewise_linear
from .rows import Rows, rows_of
from .specification import Spec
from .substitution import Anchor, relax, spec_bound, spec_rows

_NARROW = 1e-4  # boxes of smooth nonlinearities, relative to their place, that are not divided further
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)  # where smooth nonlinearities are compared with their lines


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
    cuts: Mapping[str, Cuts] | None = None,
) -> Tensor:
    """The bound [B, M] of given slopes, and where `cuts` are given, of the multipliers at the ends of the boxes."""
    program = dual_program(graph, params, base)
    lines = relax(graph, pre, dual.slopes)
    if program is not None:
        return program.dual(spec, pre, lines, dual, cuts, base).bound
    return _bounded(graph, params, base, mixed(spec, dual.weights), pre, lines, dual.multipliers, cuts)


def dual_program(graph: Graph, params: Params, base: Anchor) -> Rows | None:
    """The compiled program, which knows the slopes of ReLUs only, and that their boxes are cut at 0."""
    return rows_of(graph, params, next(iter(base.boxed))) if base.boxed and piecewise_linear(graph) else None


def _bounded(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    lines: Mapping[str, Lines],
    multipliers: Mapping[str, Tensor],
    cuts: Mapping[str, Cuts] | None,
) -> Tensor:
    if cuts is None:
        return spec_bound(graph, params, base, spec, lines)
    bound = spec_bound(graph, params, base, spec, lines, multipliers)
    for name, cut in cuts.items():
        bound = bound - held(multipliers[name], pre[name], cut)
    return bound


def tighten(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts] | None = None,
    *,
    steps: int,
    rate: float = 0.25,
    decay: float = 0.95,
) -> tuple[Tensor, Dual]:
    """The best bound [B, M] over `steps` steps of Adam from `dual`, and the slopes and multipliers that gave it."""
    program = dual_program(graph, params, base)
    if program is not None:
        lines = relax(graph, pre, dual.slopes)
        climbed = program.dual(spec, pre, lines, dual, cuts, base, steps=steps, rate=rate, decay=decay)
        return climbed.bound, climbed.dual
    slopes = {name: slope.clone().requires_grad_() for name, slope in dual.slopes.items()}
    multipliers = {name: value.clone().requires_grad_(cuts is not None) for name, value in dual.multipliers.items()}
    several = dual.weights is not None and dual.weights.shape[1] > 1
    weights = dual.weights.clone().requires_grad_() if several and dual.weights is not None else dual.weights
    best_dual = dual
    ascents = [_Adam(slope, rate) for slope in slopes.values()]
    if cuts is not None:
        ascents += [_Adam(value, rate / 2) for value in multipliers.values()]
    if several and weights is not None:
        ascents.append(_Adam(weights, rate / 2))
    best = torch.full_like(next(iter(dual.slopes.values())).flatten(2)[:, :, 0], -torch.inf)
    kept = dual.weights
    for step in range(steps + 1):
        with torch.enable_grad():
            lines = relax(graph, pre, slopes)
            bound = _bounded(graph, params, base, mixed(spec, weights), pre, lines, multipliers, cuts)
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
        for name, cut in (cuts or {}).items():
            least, most = (torch.where(end, torch.inf, 0.0).unsqueeze(1) for end in cut)
            multipliers[name].detach().clamp_(min=-least, max=most)
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


def look(
    graph: Graph,
    params: Params,
    base: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts] | None,
) -> Look:
    """How a bound comes about; `base` ends on the input, or on the ball that it lies in."""
    lower, upper = (end.unsqueeze(1) for end in base.boxes[graph.input])
    program, lines = dual_program(graph, params, base), relax(graph, pre, dual.slopes)
    if program is not None:
        seen = program.dual(spec, pre, lines, dual, cuts, base, look=True).shown()
        falls = seen.corner < base.centres[graph.input].unsqueeze(1)
        return seen._replace(corner=torch.where(falls, lower, upper))
    with torch.enable_grad():
        for name, line in lines.items():
            start = torch.zeros_like(line.lower_slope) if line.lower_start is None else line.lower_start.detach()
            above = line.upper_start.detach().expand_as(start).clone()
            lines[name] = line._replace(lower_start=start.requires_grad_(), upper_start=above.requires_grad_())
        rows, multipliers = spec_rows(mixed(spec, dual.weights)), None if cuts is None else dual.multipliers
        bound, forms = carried(
            graph, params, graph.output, rows, lines, base.centres, base.radii, multipliers, fused=False
        )  # fmt: skip
        starts = [
            start for line in lines.values() for start in (line.lower_start, line.upper_start) if start is not None
        ]
        # the derivative by the start of a line is the coefficient that met it
        found = torch.autograd.grad(bound.sum(), starts, allow_unused=True)
    slopes = [torch.zeros_like(start) if slope is None else slope for start, slope in zip(starts, found, strict=True)]
    met = {name: below + above for name, below, above in zip(lines, slopes[::2], slopes[1::2], strict=True)}
    coef = whole(forms[graph.input], graph.input_shape).coef.squeeze(1).unflatten(2, graph.input_shape)
    ball = base.radii[graph.input]
    if isinstance(ball, CutBall):
        return Look(met, torch.stack([ball.lowest(row) for row in coef.unbind(1)], 1))
    return Look(met, torch.where(coef > 0, lower, upper))


def split_impact(graph: Graph, pre: Mapping[str, Box], dual: Dual, met: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How much of the bound each neuron's relaxation gives away, [B, *v] by name; -inf where nothing is to be split.

    The coefficient that met a line times the line's distance from the function is the slack a split removes (the
    bound-impact score of Bunel et al. 2020, BaBSR).
    """
    impact, operators = {}, nonlinearities(graph)
    for name, line in relax(graph, pre, dual.slopes).items():
        below, above = _slack(operators[name], pre[name], line)
        positive, negative = signed_parts(met[name])
        score = (positive * below - negative * above).sum(1)
        impact[name] = torch.where(_divisible(operators[name], pre[name]), score, -torch.inf)
    return impact


def _slack(operator: Nonlinear, box: Box, line: Lines) -> tuple[Tensor, Tensor]:
    """How far from f the lower and the upper line lie at most [B, S, *v]; of smooth ones, at a few points."""
    lower, upper = box.lower.unsqueeze(1), box.upper.unsqueeze(1)
    if operator.kinked:
        gap = torch.minimum((1 - line.lower_slope) * upper, -line.lower_slope * lower).clamp(min=0)
        least = 1e-3 * torch.minimum(upper, -lower)  # a slope of 0 or 1 is tight on one side only
        return gap + least, line.upper_start
    start = 0.0 if line.lower_start is None else line.lower_start
    below, above = torch.zeros_like(line.lower_slope), torch.zeros_like(line.upper_slope)
    for share in _PLACES:
        point = lower + share * (upper - lower)
        exact = operator.lines(Box(point.squeeze(1), point.squeeze(1)), None)  # both lines of a point meet f there
        f = exact.upper_slope * point + exact.upper_start
        below = torch.maximum(below, f - line.lower_slope * point - start)
        above = torch.maximum(above, line.upper_slope * point + line.upper_start - f)
    return below, above


def _divisible(operator: Nonlinear, box: Box) -> Tensor:
    """Unstable, and where only ever smaller boxes help, not yet as narrow as float32 makes worth while."""
    if operator.kinked:
        return operator.unstable(box)
    size = 1 + torch.maximum(box.lower.abs(), box.upper.abs())
    return operator.unstable(box) & (box.upper - box.lower > _NARROW * size)
