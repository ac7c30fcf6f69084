"""A subdomain of a ReLU network as a linear program, solved by HiGHS: exact where every ReLU has its sign, else over
their triangles.

    min t   over x in the box, y, t:   every row <= t,   s z >= 0 where a split fixed the sign s,
                                       y >= 0,  y >= z,  y <= u / (u - l) · (z - l) elsewhere

(Ehlers 2017, arXiv:1705.01320.) z and the rows are affine in x and in the outputs y of the ReLUs without a sign. A
ball is as many of its tangents as it takes until the optimum lies inside (cutting planes, Kelley 1960).
Nothing here is trusted: the optimum's dual is handed on as slopes, multipliers and weights of the rows, whose bound is
taken again in float64 (the two are dual to each other: Salman et al. 2019, arXiv:1902.08722), its point is replayed.
"""

import time
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..bounds.backward import carried
from ..bounds.ball import CutBall
from ..graph import Graph
from ..ops import Box, Lines, Params
from ..ops.forms import Form, whole
from ..region import Norm
from .problem import Problem

_INFEASIBLE = 2  # scipy's status
_INSIDE = 1e-7  # how far beyond its ball an optimum may lie, in radii
_STRICTER = 2.0  # how much more than the rows need an infeasible program's multipliers say


class Optimum(NamedTuple):
    """As the solver has it: the point [*v] where the largest row is least, and the dual: slopes and multipliers
    [1, *v], weights of the rows [M]. Without a point the dual shows that no x fulfils the constraints.
    """

    point: Tensor | None
    slopes: dict[str, Tensor]
    multipliers: dict[str, Tensor]
    weights: Tensor


class _Neurons(NamedTuple):
    """Of one value, by flat index: whose sign a split fixed, these signs, and who is without one."""

    split: Tensor
    sign: np.ndarray
    free: Tensor


def solve(
    graph: Graph,
    params: Params,
    problem: Problem,
    pre: Mapping[str, Box],
    slopes: Mapping[str, Tensor],
    *,
    seconds: float,
) -> Optimum | None:
    """The subdomain of `problem` with boxes pre [*v] of the ReLUs' inputs, cut at zero where one has its sign; float64.

    slopes [1, *v]: taken where the optimum leaves them open. None where HiGHS finds no answer in so many seconds; no
    more tangents of a ball are added after that time.
    """
    neurons = {name: _neurons(problem.pre[name], box) for name, box in pre.items()}
    affine = _Affine(graph, params, problem, pre, neurons)
    rows = affine.rows(graph.output, problem.rows)
    rows[:, -1] += problem.offset.numpy()
    split, below, above = [rows[:0]], [rows[:0]], [rows[:0]]
    for name, each in neurons.items():
        index = torch.cat([each.split, each.free])
        if not len(index):
            continue
        z = affine.rows(name, F.one_hot(index, prod(graph.shapes[name])).double())
        split.append(-each.sign[:, None] * z[: len(each.split)])
        z, y = z[len(each.split) :], affine.outputs(name)
        l, u = (end.flatten()[each.free].numpy()[:, None] for end in pre[name])
        below.append(z - y)
        chord = u / (u - l) * z
        chord[:, -1:] -= u / (u - l) * l
        above.append(y - chord)
    signs, triangles = np.concatenate(split), np.concatenate([*below, *above])
    inputs, lower = prod(graph.input_shape), problem.box.lower.flatten().numpy()
    low = np.concatenate([lower, np.zeros(affine.free)])
    high = np.concatenate([problem.box.upper.flatten().numpy(), np.full(affine.free, np.inf)])

    began, ball = time.perf_counter(), rows[:0]
    while True:
        found = least([(rows, -1.0), (signs, 0.0), (triangles, 0.0), (ball, 0.0)], low, high, -np.inf, seconds)
        beyond = _tangent(problem.ball, found.x[:inputs], affine.free) if problem.ball and found.status == 0 else None
        if beyond is None or time.perf_counter() - began > seconds:
            break
        ball = np.concatenate([ball, beyond])
    if found.status == 0:
        weights, multipliers, lines = np.split(-found.ineqlin.marginals, [len(rows), len(rows) + len(signs)])
        through = lines[: affine.free], found.lower.marginals[inputs:-1]
        point = torch.from_numpy(found.x[:inputs]).reshape(graph.input_shape)
        return Optimum(point, *_dual(neurons, slopes, multipliers, through), torch.from_numpy(np.maximum(weights, 0)))
    if found.status != _INFEASIBLE or not len(signs):
        return None
    found = least([(signs, -1.0), (triangles, 0.0), (ball, 0.0)], low, high, 0.0, seconds)
    if found.status != 0 or found.fun <= 0:
        return None
    # these multipliers' terms add up to found.fun or more everywhere, so enough of them outweigh any row
    most = np.abs(rows[0, :inputs]) @ np.maximum(np.abs(low), np.abs(high))[:inputs] + np.abs(rows[0, -1])
    multipliers, lines = np.split(-found.ineqlin.marginals * _STRICTER * (1 + most) / found.fun, [len(signs)])
    through = lines[: affine.free], found.lower.marginals[inputs:-1]
    return Optimum(None, *_dual(neurons, slopes, multipliers, through), F.one_hot(torch.tensor(0), len(rows)).double())


def least(
    blocks: list[tuple[np.ndarray, float]], low: np.ndarray, high: np.ndarray, least: float, seconds: float
) -> Any:
    """min r >= least where every row · (v, 1) + factor · r <= 0, low <= v <= high; as scipy returns it."""
    from scipy.optimize import linprog  # half a second, which few runs need

    matrix = np.concatenate([np.hstack([rows[:, :-1], np.full((len(rows), 1), factor)]) for rows, factor in blocks])
    limit = -np.concatenate([rows[:, -1] for rows, _ in blocks])
    bounds = np.stack([np.append(low, least), np.append(high, np.inf)], 1)
    cost = np.append(np.zeros(len(low)), 1.0)
    return linprog(cost, matrix, limit, bounds=bounds, method="highs", options={"time_limit": seconds})


def _tangent(ball: CutBall, point: np.ndarray, free: int) -> np.ndarray | None:
    """The ball's side of its tangent towards a point [n], as a row [1, n + free + 1]; None for a point inside."""
    centre, radius = ball.centre.flatten().numpy(), ball.radius.flatten().numpy()
    shares = np.divide(point - centre, radius, out=np.zeros_like(point), where=radius > 0)
    size = np.abs(shares).sum() if ball.norm is Norm.L1 else np.sqrt((shares * shares).sum())
    if size <= 1 + _INSIDE:
        return None
    normal = np.sign(shares) if ball.norm is Norm.L1 else shares / size
    normal = np.divide(normal, radius, out=np.zeros_like(point), where=radius > 0)
    return np.concatenate([normal, np.zeros(free), [-(normal @ centre) - 1]])[None]


def _neurons(whole_box: Box, box: Box) -> _Neurons:
    """Unstable ones on the problem's box; a split has cut one end of the subdomain's box."""
    unstable = ((whole_box.lower < 0) & (whole_box.upper > 0)).flatten()
    lower, upper = (end.flatten() for end in box)
    fixed = (lower >= 0) | (upper <= 0)
    split = (unstable & fixed).nonzero().flatten()
    return _Neurons(split, np.where(lower[split] >= 0, 1.0, -1.0), (unstable & ~fixed).nonzero().flatten())


class _Affine:
    """Values as affine functions of the input and of the outputs of the ReLUs without a sign (`free` many)."""

    def __init__(
        self, graph: Graph, params: Params, problem: Problem, pre: Mapping[str, Box], neurons: Mapping[str, _Neurons]
    ) -> None:
        self._graph, self._params, self._pre = graph, params, pre
        self._radii = {graph.input: problem.box.upper[None]}  # only says where to stop
        self._free = {name: each.free for name, each in neurons.items()}
        self.free = sum(len(index) for index in self._free.values())

    def rows(self, name: str, rows: Tensor) -> np.ndarray:
        """Rows [R, entries] over the value `name` as [R, n + free + 1], the constant last."""
        # a neuron without a sign is a line of its own height, by which the derivative is a row's factor of its output
        heights = {
            each: torch.zeros(1, len(rows), *box.lower.shape, dtype=rows.dtype, requires_grad=True)
            for each, box in self._pre.items()
        }
        slopes = {each: (box.lower >= 0).to(rows.dtype)[None, None] for each, box in self._pre.items()}
        lines = {each: Lines(slopes[each], heights[each], slopes[each], heights[each]) for each in heights}
        with torch.enable_grad():
            value, forms = carried(
                self._graph, self._params, name, Form(rows[None, None]), lines, {}, self._radii, fused=False
            )
        value = value.expand(1, len(rows))
        factors: Sequence[Tensor | None] = [None] * len(heights)
        if value.requires_grad:
            factors = torch.autograd.grad(value.sum(), list(heights.values()), allow_unused=True)
        parts = [rows.new_zeros(len(rows), prod(self._graph.input_shape))]
        if self._graph.input in forms:
            parts = [whole(forms[self._graph.input], self._graph.input_shape).coef[0, 0].detach()]
        for index, factor in zip(self._free.values(), factors, strict=True):
            blank = rows.new_zeros(len(rows), len(index))
            parts.append(blank if factor is None else factor[0].flatten(1)[:, index])
        return torch.cat([*parts, value.detach().T], 1).numpy()

    def outputs(self, name: str) -> np.ndarray:
        """The outputs of `name`'s ReLUs without a sign, likewise."""
        inputs, names = prod(self._graph.input_shape), list(self._free)
        first = inputs + sum(len(self._free[each]) for each in names[: names.index(name)])
        return np.eye(len(self._free[name]), inputs + self.free + 1, first)


def _dual(
    neurons: Mapping[str, _Neurons],
    slopes: Mapping[str, Tensor],
    multipliers: np.ndarray,
    through: tuple[np.ndarray, np.ndarray],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """through: multipliers of y >= z and of y >= 0; the lower line that both add up to has their mean slope."""
    found = {name: slope.double().clone() for name, slope in slopes.items()}
    beta = {name: torch.zeros_like(slope) for name, slope in found.items()}
    above, total = through[0], through[0] + through[1]
    split = free = 0
    for name, each in neurons.items():
        some = np.maximum(multipliers[split : split + len(each.split)], 0) * -each.sign  # z >= 0 is the lower end
        beta[name].view(-1)[each.split] = torch.from_numpy(some)
        part = slice(free, free + len(each.free))
        used = total[part] > 0
        mean = np.clip(above[part][used] / total[part][used], 0, 1)
        found[name].view(-1)[each.free[torch.from_numpy(used)]] = torch.from_numpy(mean)
        split, free = split + len(each.split), free + len(each.free)
    return found, beta
