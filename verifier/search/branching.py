"""Which neuron to split next: the best of a few by looking one step ahead (filtered smart branching, De Palma et al.
2021, arXiv:2104.06718).

Candidates are those whose relaxation gives most of the bound away; each one's two children are bounded with the
parent's slopes, and that is taken whose worse child is best, a little of the better child counting too.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..bounds import Box
from ..bounds.beta_crown import Cuts, Dual, dual_bound, dual_program
from ..bounds.interval import nonlinearities, piecewise_linear
from ..bounds.specification import Spec
from ..bounds.substitution import relax
from ..graph import Graph
from .problem import Batch

CANDIDATES = 4
_BETTER_CHILD = 0.1  # its weight beside the worse child's


def best_split(
    graph: Graph,
    work: Batch,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts],
    impact: Mapping[str, Tensor],
    known: Tensor,
) -> Tensor:
    """The chosen neuron of each domain [D], counted through the values of `impact` in their order; -1: none is left.

    known [D]: bounds of the domains, which their children keep. Where no candidate gains on them, of smooth networks
    the first by `impact` it is; of ReLUs those that fall short of them still say which is best.
    """
    scores = torch.cat([impact[name].flatten(1) for name in impact], 1)
    top = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1)
    first = torch.where(top.values[:, 0] > -torch.inf, top.indices[:, 0], -1)
    count = int((top.values > -torch.inf).sum(1).amax())
    if count < 2:
        return first
    sides = _sides(graph, work, pre, dual, cuts, list(impact), top.indices[:, :count])
    if not piecewise_linear(graph):
        sides = sides.maximum(known[:, None, None])  # a curve's lines over half of its box may be worse placed
    value = sides.amin(2) + _BETTER_CHILD * sides.amax(2).clamp(max=0)
    gain = torch.where(top.values[:, :count] > -torch.inf, value, -torch.inf)
    chosen = top.indices.gather(1, gain.argmax(1, keepdim=True)).squeeze(1)
    return torch.where(first < 0, first, chosen)


def _sides(
    graph: Graph,
    work: Batch,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts],
    names: list[str],
    neurons: Tensor,
) -> Tensor:
    """The bounds [D, V, 2] of both sides of the splits of neurons [D, V]."""
    program = dual_program(graph, work.params, work.base)
    if program is not None:
        lines = relax(graph, {name: pre[name] for name in names}, dual.slopes)
        sides = program.dual(work.spec, pre, lines, dual, cuts, work.base, neurons=neurons).sides
        if sides is not None:
            return sides
    return torch.stack([_children(graph, work, pre, dual, cuts, names, each) for each in neurons.unbind(1)], 1)


def _children(
    graph: Graph,
    work: Batch,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts],
    names: list[str],
    neuron: Tensor,
) -> Tensor:
    """The bounds [D, 2] of both sides of a split of `neuron` [D]."""
    pair, operators = _doubled(work), nonlinearities(graph)
    boxes, moved, at = {}, {}, neuron
    for name in names:
        box = pre[name]
        size, point = box.lower[0].numel(), operators[name].cut(box).flatten(1)
        here = ((at >= 0) & (at < size)).nonzero().flatten()
        lower, upper = (end.flatten(1).repeat(2, 1) for end in box)
        low, high = (end.flatten(1).repeat(2, 1) for end in cuts[name])
        lower[here, at[here]] = upper[here + len(neuron), at[here]] = point[here, at[here]]
        low[here, at[here]] = high[here + len(neuron), at[here]] = True
        shape = box.lower.shape[1:]
        boxes[name] = Box(lower.reshape(-1, *shape), upper.reshape(-1, *shape))
        moved[name] = Cuts(low.reshape(-1, *shape), high.reshape(-1, *shape))
        at = at - size
    both = Dual(
        {name: value.repeat(2, *[1] * (value.dim() - 1)) for name, value in dual.slopes.items()},
        {name: value.repeat(2, *[1] * (value.dim() - 1)) for name, value in dual.multipliers.items()},
        None if dual.weights is None else dual.weights.repeat(2, 1),
    )
    bound = dual_bound(graph, pair.params, pair.base, pair.spec, boxes, both, moved)[:, 0]
    return bound.reshape(2, -1).T


def _doubled(work: Batch) -> Batch:
    def twice(value: Tensor) -> Tensor:
        return value.repeat(2, *[1] * (value.dim() - 1)) if len(value) > 1 else value

    spec = Spec(twice(work.spec.rows), twice(work.spec.offset))
    return Batch(work.params, work.base.each(twice), spec, {})
