"""A running error analysis of bounds: what rounding may have added to them, in the analysis and in the network.

Back-substitution carries a row A over v = W a + b to the row A W over a, and that over a = f(z) to a row over z by
lines of f. What rounds on the way is a part of the terms' magnitudes (a sum of n products errs by at most n·u times the
sum of their magnitudes, Higham 2002, section 3.1):

    e(x) = u n |x|                                                         the input: A x + |A| radius
    e(v) = |W| e(a) + u n (|W| |a| + |b|)                                  v = W a + b
    e(a) = L e(z) + u n (L |z| + |start|),    L >= every slope of a line   a = f(z)

An error passes f with its steepest slope, whatever the size of f: a Sigmoid's is 1, its input's error may be larger.
|a|, |z| come from the boxes found so far. e bounds what rounds in any back-substitution, in interval arithmetic and in
a forward pass, whatever slopes were chosen: a row's error is at most |row| e (`rows`). Through many layers e grows with
the product of all weights; where the coefficients that met the lines are known, they stand in for all that lies above
(`met`).

In float32 arithmetic (`arithmetic.py`) the network itself rounds, which belongs to e(v), e(a) too:

    γ_m (|W| |a| + |b|),  m = n + 8                      sums in any order
    γ_k |b|,  γ_k (|a| + |b|)                            b, or a sum of two values, as part of a sum of k terms before
    _CURVE u (L |z| + |f| + 1)                           a smooth f; a ReLU, and what moves entries, rounds nothing

and what underflows may be flushed to zero: a result, an operand, and a weight, folded or not (`folding.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from math import inf

import numpy as np
from numpy.typing import DTypeLike

from ..functions import Box
from .anchor import Anchor
from .engine import Engine
from .folding import SLACK
from .images import images
from .plan import Array
from .steps import Affine, Bend
from .zonotope import Zonotope

_ROOM = 12  # operations on a value beside the sums
_BALL = 4  # a dual norm costs a few times what a radius does
_BENT = 32  # operations on an entry of a zonotope, at a nonlinearity
_CURVE = 32  # roundings of a smooth function: onnxruntime's are off by up to 5 (benchmarks/curve_errors.py)
_UNBOUNDED = np.errstate(over="ignore", invalid="ignore")  # what is no number proves nothing


class Errors:
    """How far rounding may carry bounds for the inputs of an anchor; grown step by step (`reach`).

    By value number, each [B, n]: sizes, the largest magnitudes of what is summed to a value; own, what rounds below it
    down to the last nonlinearity; whole, what rounds all the way down. lining, by name of a nonlinearity's input: what
    rounds at its lines and below, for a coefficient of one that meets them.
    """

    @_UNBOUNDED
    def __init__(self, engine: Engine, anchor: Anchor, *, dtype: DTypeLike = np.float64) -> None:
        """dtype: of the bounds' arithmetic."""
        self._engine = engine
        kind = np.finfo(dtype)
        self._unit, self._least = SLACK * float(kind.eps) / 2, float(kind.tiny)
        self._deployed = engine.deployed
        self._readers = Counter(number for step in engine.steps for number in _read(step))
        reach, terms = magnitude(anchor.box), engine.inputs + self._room(0)
        if anchor.ball is not None:
            reach, terms = reach + abs(anchor.ball.centre) + anchor.ball.radius, _BALL * terms
        first = self._unit * terms * reach + self._least
        self.sizes, self.own, self.whole = {0: reach}, {0: first}, {0: first}
        self.lining: dict[str, Array] = {}
        self._bends: set[int] = set()  # outputs of nonlinearities
        self._lost = self._underflow(reach, terms)  # of every row, whatever its size

    def _room(self, number: int) -> int:
        """Operations beside the sums that lead to a value; coefficients of all its readers are added up there."""
        return _ROOM + self._readers[number]

    @_UNBOUNDED
    def reach(self, step: Affine | Bend, box: Box | None) -> None:
        """Goes on to a step's output; box [B, n] of a nonlinearity's input, which holds whatever rounded."""
        if isinstance(step, Affine):
            self._affine(step)
        elif box is not None:
            self._bent(step, box)

    def _affine(self, step: Affine) -> None:
        # right after nonlinearities nothing has rounded since, before the first of them all that has is its own
        after = self._bends.issuperset(step.inputs)
        before = all(self.own[number] is self.whole[number] for number in step.inputs)
        kinds = (self.sizes, self.whole) if after or before else (self.sizes, self.whole, self.own)
        parts = [np.concatenate([kind[number] for kind in kinds]) for number in step.inputs]
        size, whole, *rest = step.spread(*parts).reshape(len(kinds), -1, step.size)
        terms = step.terms + self._room(step.out)
        self._lost = self._lost + sum(self._underflow(self.sizes[number], terms) for number in set(step.inputs))
        local = (self._unit * terms + self._engine.rounding) * size + self._least
        if step.offset is not None:
            size = size + abs(step.offset)
            local = local + (self._summed(step.size) + self._engine.rounding) * abs(step.offset)
        own = self._engine.network_rounding[step.out].of(size, self.sizes)
        local, size = local + self._lost[:, None] + own, size + own
        self.sizes[step.out] = np.where(size > self._engine.limit, inf, size)
        self.whole[step.out] = whole + local
        if before:
            self.own[step.out] = self.whole[step.out]
        else:
            self.own[step.out] = local if after else rest[0] + local

    def _curved(self, bend: Bend, size: Array, reached: Array) -> Array:
        """What the network itself rounds at a nonlinearity; size: of what goes into it, by how steep it is."""
        if not self._deployed.unit or bend.function.kinked:
            return np.full_like(size, self._deployed.least)
        return np.asarray(_CURVE * self._deployed.unit * (size + reached + 1))

    def _bent(self, bend: Bend, box: Box) -> None:
        size, function = self.sizes[bend.into], bend.function
        steepest, reached = function.steepest(box), magnitude(function.interval(box))
        if function.kinked:
            start = abs(function.lines(box, None).upper_start[:, 0])
        else:
            start = reached + steepest * magnitude(box)
        local = self._unit * self._room(bend.out) * (steepest * size + reached)
        local = local + self._summed(bend.size) * start + self._least
        local = local + self._curved(bend, steepest * size, reached)
        self.lining[bend.name] = steepest * self.own[bend.into] + local
        self._lost = self._lost + self._underflow(size, self._room(bend.out))
        self.sizes[bend.out] = np.where(reached > self._engine.limit, inf, reached)
        self.own[bend.out] = np.zeros_like(reached)
        self._bends.add(bend.out)
        self.whole[bend.out] = steepest * self.whole[bend.into] + local

    def _underflow(self, size: Array, terms: int) -> Array:
        """Of coefficients of a value: each may lose so much of what it multiplies."""
        return np.asarray(self._least * terms * size.sum(1))

    def _summed(self, entries: int) -> float:
        """For a constant of every entry: all are added to the row's, and this to those of other values."""
        return self._unit * (entries + len(self._engine.steps) + _ROOM)

    def of(self, index: Array) -> "Errors":
        """Of some of the boxes."""
        found = copy(self)
        for kind in ("sizes", "own", "whole", "lining"):
            setattr(found, kind, {key: part[index] for key, part in getattr(self, kind).items()})
        found._lost = self._lost[index]
        return found

    @_UNBOUNDED
    def widened(self, number: int, box: Box) -> Box:
        """What was found from the boxes of the last nonlinearities' outputs, by as much as it may have rounded."""
        return Box(box.lower - self.own[number], box.upper + self.own[number])

    @_UNBOUNDED
    def around(self, number: int, box: Box) -> Box:
        """An interval image as it was computed, by as much as it may have rounded all the way."""
        return Box(box.lower - self.whole[number], box.upper + self.whole[number])

    def rows(self, rows: Array, offset: Array) -> Array:
        """What bounds of rows [B, M, K] over the output, offset [B, M], must exceed to prove anything: [B, M]."""
        return self._above(rows, offset, self.whole[self._engine.output])

    @_UNBOUNDED
    def met(self, rows: Array, offset: Array, met: Mapping[str, Array]) -> Array:
        """The same of one back-substitution: met [B, M, n], the coefficients that met the lines, by name of the
        nonlinearity's input."""
        return self._above(rows, offset, self.own[self._engine.output]) + self._at_lines(met)

    @_UNBOUNDED
    def neurons(self, name: str, entries: Array, met: Mapping[str, Array]) -> Array:
        """What bounds of entries [M] of a nonlinearity's input may have rounded by [B, M], where coefficients met
        [B, M, n] met the lines before it."""
        return np.asarray(self.own[self._engine.bends[name].into][:, entries] + self._at_lines(met))

    def _at_lines(self, met: Mapping[str, Array]) -> Array:
        found = np.zeros((1, 1))
        for name, coef in met.items():
            found = found + SLACK * _each(coef, self.lining[name])
        return found

    @_UNBOUNDED
    def multiplied(self, multipliers: Mapping[str, Array], *, met: bool) -> Array:
        """What multipliers [B, M, n] of splits add to `rows`, or to `met`: [B, M]."""
        found = np.zeros((1, 1))
        for name, multiplier in multipliers.items():
            number = self._engine.bends[name].into
            error = (self.own if met else self.whole)[number]
            error = error + self._summed(error.shape[1]) * self.sizes[number]
            found = found + _each(multiplier, error)
        return found

    @_UNBOUNDED
    def _above(self, rows: Array, offset: Array, error: Array) -> Array:
        unit = self._summed(rows.shape[2])
        each = error + unit * self.sizes[self._engine.output]
        return _each(rows, each) + unit * abs(offset) + self._lost[:, None]

    @_UNBOUNDED
    def beyond(self, step: Affine | Bend, before: Sequence[Zonotope], after: Zonotope, box: Box | None) -> Zonotope:
        """The zonotope of a step's output with what rounding may have left out; box as in `reach`."""
        count, reached = after.generators.shape[1], [each.reached() for each in before]
        if isinstance(step, Affine):
            size, terms = summed(step, reached), step.terms + _ROOM
            own = self._engine.network_rounding[step.out].of(size, self.sizes)
        elif box is not None:
            steepest, terms = step.function.steepest(box), _BENT
            size = steepest * (reached[0] + magnitude(box)) + after.reached()
            own = self._curved(step, steepest * reached[0], magnitude(step.function.interval(box)))
        error = (self._unit * (terms + count) + self._engine.rounding) * size + self._least + own
        return after._replace(deviation=after.deviation + error)


def analysed(engine: Engine, anchor: Anchor, pre: Mapping[str, Box], *, sound: bool = True) -> Errors:
    """The analysis up to the output, for boxes pre [B, n] of the nonlinearities' inputs. Not `sound`: these are
    interval images as they were computed, which may have rounded themselves."""
    errors = Errors(engine, anchor)
    for step in engine.steps:
        known = pre.get(step.name) if isinstance(step, Bend) else None
        if known is not None and isinstance(step, Bend) and not sound:
            known = errors.around(step.into, known)
        errors.reach(step, known)
    return errors


def summed(step: Affine, sizes: Sequence[Array]) -> Array:
    """|W| m + |b| for magnitudes m [B, n] of a step's inputs: of all that its output is the sum of."""
    reached = step.spread(*sizes)
    return reached if step.offset is None else reached + abs(step.offset)


def by_intervals(engine: Engine, anchor: Anchor) -> Errors:
    """The analysis over interval images, the least that is known of the neurons."""
    known = images(engine, anchor.box)
    return analysed(engine, anchor, {name: known[bend.into] for name, bend in engine.bends.items()}, sound=False)


def in_range(engine: Engine, box: Box) -> bool:
    """Whether every value over the boxes [B, n] is a number of the network's own type."""
    return all(bool((magnitude(known) < engine.limit).all()) for known in images(engine, box).values())


def magnitude(box: Box) -> Array:
    return np.maximum(abs(box.lower), abs(box.upper))


def _each(coef: Array, error: Array) -> Array:
    """Errors [B, n] by the sizes of coefficients [B, M, n]: [B, M]."""
    return np.asarray((abs(coef) @ error[:, :, None])[:, :, 0])


def _read(step: Affine | Bend) -> Sequence[int]:
    return step.inputs if isinstance(step, Affine) else (step.into,)
