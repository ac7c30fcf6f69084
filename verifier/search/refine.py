"""Tighter boxes of the nonlinearities' inputs: each unstable neuron's two bounds climb over slopes of their own.

    l_j = max over α in [0, 1] of the back-substituted bound of z_j,   layer by layer, over the boxes found so far

(α-CROWN with intermediate bounds, Xu et al. 2021, arXiv:2011.13824; here each neuron's slopes are its own, which is
the tightest form.) The climb is in float32, its result is bounded again in float64, less
what may have rounded.
"""

from collections.abc import Generator, Mapping

import torch
from torch import Tensor

from ..bounds.backward import lower_bound
from ..bounds.ball import CutBall
from ..bounds.beta_crown import dual_program
from ..bounds.errors import Errors, analysed
from ..bounds.interval import exact_values, nonlinearities
from ..bounds.rows import Rows
from ..bounds.substitution import Anchor, anchor, relax
from ..graph import Graph
from ..ops import Box, Params
from ..ops.forms import Form

_COPIES = 12  # of the slopes, alive together while they climb


def refined(
    graph: Graph,
    params: Params,
    single: Params,
    box: Box,
    pre: Mapping[str, Box],
    *,
    steps: int,
    memory: int,
    ball: CutBall | None = None,
) -> Generator[int, None, dict[str, Box]]:
    """Boxes within `pre` of one box [1, *v] or of the part of it that the ball is cut to, all float64; single: `params`
    in float32. Yields between parts of the work, that it bounded no subdomain.
    """
    exact, found = exact_values(graph), dict(pre)
    bases = (
        anchor(graph, single, Box(*(end.float() for end in box)), ball and ball.each(Tensor.float)),
        anchor(graph, params, box, ball),
    )
    errors = analysed(graph, params, bases[1], pre)
    programs = [dual_program(graph, each, base) for each, base in zip((single, params), bases, strict=True)]
    for name, operator in nonlinearities(graph).items():
        if name in exact:
            continue
        below = _before(graph, name, found)
        index = operator.unstable(found[name]).flatten().nonzero().flatten()
        slopes = sum(found[each].lower.numel() for each in below)
        size = max(1, memory // (2 * _COPIES * 4 * max(slopes, 1)))
        for part in index.split(size) if len(index) else ():
            yield 0
            known = {each: found[each] for each in below}
            if programs[0] is not None and programs[1] is not None:
                bound = _compiled(programs[0], programs[1], graph, name, part, bases, known, steps, errors)
            else:
                rows = torch.zeros(1, 2 * len(part), found[name].lower.numel(), dtype=torch.float64)
                rows[0, torch.arange(len(part)), part] = 1
                rows[0, torch.arange(len(part)) + len(part), part] = -1
                bound = _climbed(graph, (single, params), name, rows, bases, known, steps)
                bound = bound - errors.whole[name].flatten()[part].repeat(2)
            lower, upper = (end.clone() for end in found[name])
            flat_lower, flat_upper = lower.view(-1), upper.view(-1)
            flat_lower[part] = torch.fmax(flat_lower[part], bound[: len(part)])
            flat_upper[part] = torch.fmin(flat_upper[part], -bound[len(part) :])
            found[name] = Box(lower, upper)
    return found


def _compiled(
    single: Rows,
    exact: Rows,
    graph: Graph,
    name: str,
    part: Tensor,
    bases: tuple[Anchor, Anchor],
    known: Mapping[str, Box],
    steps: int,
    errors: Errors,
) -> Tensor:
    """The bounds of v and then of -v for the neurons `part`."""
    order = exact.neighbours(name, part)
    neuron, sign = part[order].repeat_interleave(2), torch.tensor([1.0, -1.0]).repeat(len(part))
    boxes = {each: Box(*(end.float() for end in box)) for each, box in known.items()}
    operators = nonlinearities(graph)
    live = {each: operators[each].unstable(box).flatten().nonzero().flatten() for each, box in known.items()}
    _, slopes = single.climbed(name, neuron, sign, relax(graph, boxes), bases[0], live, steps=steps)
    bound, _ = exact.climbed(name, neuron, sign, relax(graph, known), bases[1], live, slopes=slopes, errors=errors)
    both = bound.new_empty(len(part), 2).index_copy_(0, order, bound.unflatten(0, (-1, 2)))
    return both.T.flatten()


def _before(graph: Graph, name: str, pre: Mapping[str, Box]) -> list[str]:
    """The nonlinearities' inputs that the value `name` depends on."""
    needed = {name}
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
    return [each for each in pre if each in needed and each != name]


def _climbed(
    graph: Graph,
    params: tuple[Params, Params],
    name: str,
    rows: Tensor,
    bases: tuple[Anchor, Anchor],
    known: Mapping[str, Box],
    steps: int,
) -> Tensor:
    """The best float64 bounds [M] of rows [1, M, entries] over the value `name`."""
    operators = nonlinearities(graph)
    single = {each: Box(*(end.float() for end in box)) for each, box in known.items()}
    slopes = {
        each: operators[each].start_slope(box).unsqueeze(1).repeat(1, rows.shape[1], *[1] * (box.lower.dim() - 1))
        for each, box in single.items()
    }
    form = Form(rows.float().unsqueeze(1))
    best = torch.full((rows.shape[1],), -torch.inf)
    kept = slopes
    for step in range(steps if slopes else 0):
        current = {each: slope.requires_grad_() for each, slope in slopes.items()}
        with torch.enable_grad():
            bound = lower_bound(
                graph, params[0], name, form, relax(graph, single, current), bases[0].centres, bases[0].radii
            )[0]
            if not bound.requires_grad:  # no line lies between: two kinds of nonlinearities may read one value
                break
            gradients = torch.autograd.grad(bound.sum(), list(current.values()), allow_unused=True)
        better = bound.detach() > best
        best = torch.where(better, bound.detach(), best)
        kept = {each: _picked(better, current[each].detach(), kept[each]) for each in kept}
        rate = 0.5 / (1 + step)
        slopes = {
            each: slope.detach()
            if gradient is None
            else (slope.detach() + rate * gradient / gradient.abs().flatten(2).amax(2).reshape(
                1, -1, *[1] * (slope.dim() - 2)).clamp(min=1e-12)).clamp(0, 1)
            for (each, slope), gradient in zip(current.items(), gradients, strict=True)
        }  # fmt: skip
    exact = {each: slope.detach().double() for each, slope in kept.items()}
    form = Form(rows.unsqueeze(1))
    return lower_bound(graph, params[1], name, form, relax(graph, known, exact), bases[1].centres, bases[1].radii)[0]


def _picked(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(better.reshape(1, -1, *[1] * (new.dim() - 2)), new, old)
