"""A subdomain of a ReLU network as a linear program, solved by HiGHS: exact where every ReLU has its sign, else over
their triangles.

    min t   over x in the box, y, t:   every row <= t,   s z >= 0 where a split fixed the sign s,
                                       y >= 0,  y >= z,  y <= u / (u - l) · (z - l) elsewhere

(Ehlers 2017, arXiv:1705.01320.) z and the rows are affine in x and in the outputs y of the ReLUs without a sign. A
ball is as many of its tangents as it takes until the optimum lies inside (cutting planes, Kelley 1960), and so are the
signs of splits where they are many: those that the optimum breaks.
Nothing here is trusted: the optimum's dual is handed on as slopes, multipliers and weights of the rows, whose bound is
taken again in float64 (the two are dual to each other: Salman et al. 2019, arXiv:1902.08722), its point is replayed.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..engine.ball import CutBall
from ..engine.engine import Engine
from ..engine.plan import Array
from ..functions import Box
from ..highs import least
from ..region import Norm
from .pieces import Neurons, Pieces, neurons
from .problem import Problem

_INFEASIBLE = 2  # scipy's status
_INSIDE = 1e-7  # how far beyond its ball an optimum may lie, in radii, or beyond the sign of a split
_STRICTER = 2.0  # how much more than the rows need an infeasible program's multipliers say
_ENTRIES = 1 << 20  # of the signs that go in at once
_LEAST = 32  # signs, whatever their length
_HELD = 80  # bytes of an entry of the matrix, here and in HiGHS


class TooLarge(Exception):
    """A linear program beyond the memory that is given; with a sentence."""


class Optimum(NamedTuple):
    """As the solver has it: the point [n] where the largest row is least, that value, and the dual: slopes and
    multipliers [n], weights of the rows [M]. Without a point the dual shows that no x fulfils the constraints.
    """

    point: Array | None
    value: float
    slopes: dict[str, Array]
    multipliers: dict[str, Array]
    weights: Array


def solve(
    engine: Engine,
    problem: Problem,
    pre: Mapping[str, Box],
    slopes: Mapping[str, Array],
    *,
    seconds: float,
    memory: int,
) -> Optimum | None:
    """The subdomain of `problem` with boxes pre [n] of the ReLUs' inputs, cut at zero where one has its sign; float64.

    slopes [n]: taken where the optimum leaves them open. None where HiGHS finds no answer in so many seconds; nothing
    is added to the program after that time. Raises `TooLarge`. memory: bytes.
    """
    return _Subdomain(engine, problem, pre, memory).optimum(slopes, seconds)


class _Subdomain:
    """Its constraints, each an array [R, n + free + 1]; signs and the ball's tangents as far as they are in."""

    def __init__(self, engine: Engine, problem: Problem, pre: Mapping[str, Box], memory: int) -> None:
        self._engine, self._problem, self._memory = engine, problem, memory
        self._neurons = {name: neurons(problem.pre[name], box) for name, box in pre.items()}
        self._pieces = Pieces(engine, pre, self._neurons, memory)
        free, self._inputs, self._held = self._pieces.free, engine.inputs, 0
        self._room(len(problem.rows) + 2 * free)
        self._rows = self._pieces.rows(engine.output, problem.rows)
        self._rows[:, -1] += problem.offset
        self._triangles = self._relaxed(pre)
        self._low = np.concatenate([problem.box.lower, np.zeros(free)])
        self._high = np.concatenate([problem.box.upper, np.full(free, np.inf)])
        self._signs, self._tangents = self._rows[:0], self._rows[:0]
        self._splits = _Splits(self._neurons)
        self._waiting = np.ones(len(self._splits.sign), bool)  # splits that are not in yet
        self._order = np.zeros(0, np.int64)  # those that are
        self._part = max(_LEAST, _ENTRIES // self._pieces.columns)
        if len(self._waiting) <= self._part:
            self._add(np.arange(len(self._waiting)))

    def optimum(self, slopes: Mapping[str, Array], seconds: float) -> Optimum | None:
        until = time.perf_counter() + seconds
        while True:
            blocks = [(self._rows, -1.0), *self._constraints(0.0)]
            found = least(blocks, self._low, self._high, -np.inf, max(0.0, until - time.perf_counter()))
            if found.status != 0 or time.perf_counter() > until or not self._grown(found.x[:-1]):
                break
        if found.status == 0:
            weights, multipliers = np.split(-found.ineqlin.marginals, [len(self._rows)])
            dual = self._dual(slopes, multipliers, found.lower.marginals)
            return Optimum(found.x[: self._inputs], float(found.fun), *dual, np.maximum(weights, 0))
        if found.status != _INFEASIBLE or not len(self._signs):
            return None
        found = least(self._constraints(-1.0), self._low, self._high, 0.0, max(0.0, until - time.perf_counter()))
        if found.status != 0 or found.fun <= 0:
            return None
        # these multipliers' terms add up to found.fun or more everywhere, so enough of them outweigh any row
        reach = np.maximum(np.abs(self._low), np.abs(self._high))[: self._inputs]
        most = np.abs(self._rows[0, : self._inputs]) @ reach + np.abs(self._rows[0, -1])
        enough, first = _STRICTER * (1 + most) / found.fun, np.arange(len(self._rows)) == 0
        dual = self._dual(slopes, -enough * found.ineqlin.marginals, enough * found.lower.marginals)
        return Optimum(None, np.inf, *dual, first.astype(np.float64))

    def _constraints(self, factor: float) -> list[tuple[Array, float]]:
        """`factor` of the signs' slack."""
        return [(self._signs, factor), (self._triangles, 0.0), (self._tangents, 0.0)]

    def _relaxed(self, pre: Mapping[str, Box]) -> Array:
        """y >= z and below them the chords."""
        below, above = [self._rows[:0]], [self._rows[:0]]
        for name, each in self._neurons.items():
            if len(each.free):
                z, y = self._pieces.entries(self._engine.number[name], each.free), self._pieces.outputs(name)
                l, u = (end[each.free, None] for end in pre[name])
                below.append(z - y)
                chord = u / (u - l) * z
                chord[:, -1:] -= u / (u - l) * l
                above.append(y - chord)
        return np.concatenate([*below, *above])

    def _grown(self, point: Array) -> bool:
        """Whether constraints came in that the point breaks."""
        before = len(self._signs) + len(self._tangents)
        if self._waiting.any():
            short = -self._splits.sign * self._splits.of(self._pieces.at(point))
            short[~self._waiting] = -np.inf
            worst = np.argsort(-short, kind="stable")[: self._part]
            self._add(worst[short[worst] > _INSIDE])
        ball = self._problem.ball
        tangent = None if ball is None else _tangent(ball, point[: self._inputs], self._pieces.free)
        if tangent is not None:
            self._room(1)
            self._tangents = np.concatenate([self._tangents, tangent])
        return len(self._signs) + len(self._tangents) > before

    def _add(self, splits: Array) -> None:
        """Their signs, in this order."""
        self._room(len(splits))
        which, entry = self._splits.which[splits], self._splits.entry[splits]
        found = np.zeros((len(splits), self._pieces.columns))
        for number, name in enumerate(self._neurons):
            here = which == number
            if here.any():
                z = self._pieces.entries(self._engine.number[name], entry[here])
                found[here] = -self._splits.sign[splits][here, None] * z
        self._signs = np.concatenate([self._signs, found])
        self._order, self._waiting[splits] = np.concatenate([self._order, splits]), False

    def _room(self, more: int) -> None:
        """For so many further rows."""
        self._held += more
        needed = self._held * self._pieces.columns * _HELD
        if needed > self._memory:
            raise TooLarge(
                f"the linear program of a part that no split divides takes {needed / 2**20:.3g} MiB of the "
                f"{self._memory / 2**20:.3g} allowed; give more with --memory"
            )

    def _dual(
        self, slopes: Mapping[str, Array], multipliers: Array, lower: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """multipliers: of signs and triangles, among these of y >= z; lower: of the variables' ends, among these of
        y >= 0. The lower line that both add up to has their mean slope."""
        kept = {name: slope.astype(np.float64) for name, slope in slopes.items()}
        beta = {name: np.zeros_like(slope) for name, slope in kept.items()}
        signs, lines = np.split(multipliers, [len(self._signs)])
        which, entry = self._splits.which[self._order], self._splits.entry[self._order]
        some = np.maximum(signs, 0) * -self._splits.sign[self._order]  # z >= 0 is the lower end
        above = lines[: self._pieces.free]
        total = above + lower[self._inputs : -1]
        first = 0
        for number, (name, each) in enumerate(self._neurons.items()):
            beta[name][entry[which == number]] = some[which == number]
            part = slice(first, first + len(each.free))
            used = total[part] > 0
            kept[name][each.free[used]] = np.clip(above[part][used] / total[part][used], 0, 1)
            first += len(each.free)
        return kept, beta


class _Splits:
    """All neurons with a sign from a split: number of the value, entry, sign."""

    def __init__(self, known: Mapping[str, Neurons]) -> None:
        none = np.zeros(0, np.int64)
        self._known = known
        counts = [len(each.split) for each in known.values()]
        self.which = np.repeat(np.arange(len(counts)), counts)
        self.entry = np.concatenate([none, *(each.split for each in known.values())])
        self.sign = np.concatenate([np.zeros(0), *(each.sign for each in known.values())])

    def of(self, values: Mapping[str, Array]) -> Array:
        """Theirs of values [n] by name."""
        return np.concatenate([np.zeros(0), *(values[name][each.split] for name, each in self._known.items())])


def _tangent(ball: CutBall, point: Array, free: int) -> Array | None:
    """The ball's side of its tangent towards a point [n], as a row [1, n + free + 1]; None for a point inside."""
    centre, radius = ball.centre, ball.radius
    shares = np.divide(point - centre, radius, out=np.zeros_like(point), where=radius > 0)
    size = np.abs(shares).sum() if ball.norm is Norm.L1 else np.sqrt((shares * shares).sum())
    if size <= 1 + _INSIDE:
        return None
    normal = np.sign(shares) if ball.norm is Norm.L1 else shares / size
    normal = np.divide(normal, radius, out=np.zeros_like(point), where=radius > 0)
    return np.concatenate([normal, np.zeros(free), [-(normal @ centre) - 1]])[None]
