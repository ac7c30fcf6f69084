"""The affine steps of an engine in exact numbers.

A step is the engine's own, run on integers: those that move or scale entries on Python's, those that are correlations
on digits, so short that float64 holds every sum of products of two of them exactly, whatever the order of summation;
of float64 numpy and BLAS compute plain sums of products.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine.engine import Engine
from ..engine.plan import CORRELATE, LINES, PAIRS, Array, Op, Plan, Taps
from ..engine.steps import Affine
from ..functions import FUNCTIONS
from .rational import MANTISSA, BeyondExactError, Exact, digits, digits_of_floats, of_floats, reciprocal

_LEAST_DIGIT = 8  # bits; shorter ones would be too many
_MOST_DIGITS = 1 << 9  # of a number


class Linear:
    """An engine's affine steps without their offsets. kinds: the operator of every nonlinearity, by name."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.kinds = {node.inputs[0]: node.op for node in engine.graph.nodes if node.op in FUNCTIONS}
        self._divisions = {engine.number[node.output]: node for node in engine.graph.nodes if node.op == "Div"}
        self._ops: dict[int, list[Op]] = defaultdict(list)
        for op in engine.plan.ops:
            if op.kind != LINES:
                self._ops[op.out].append(op)
        self._known: dict[int, list[_Whole | _Digits]] = {}
        self._offsets: dict[int, Exact] = {}

    def forward(self, step: Affine, values: Sequence[Exact]) -> list[Exact]:
        """What each of the values [B, n] of the step's inputs adds to L v."""
        return [each.forth(value) for each, value in zip(self._maps(step), values, strict=True)]

    def spread(self, step: Affine, place: int, radius: Exact) -> Exact:
        """|L| r for a radius [B, n] >= 0 of the input at that place."""
        return self._maps(step)[place].forth(radius, absolute=True)

    def backward(self, step: Affine, rows: Exact) -> list[Exact]:
        """A L for rows [R, m] over the output: [R, n] over each of the inputs."""
        return [each.back(rows) for each in self._maps(step)]

    def offset(self, step: Affine) -> Exact | None:
        """f(0), [m], or None."""
        if step.offset is not None and step.out not in self._offsets:
            self._offsets[step.out] = of_floats(step.offset)  # one of its parts at most has one
        return self._offsets.get(step.out)

    def _maps(self, step: Affine) -> "list[_Whole | _Digits]":
        if step.out not in self._known:
            self._known[step.out] = [self._map(op) for op in self._ops[step.out]]
        return self._known[step.out]

    def _map(self, op: Op) -> "_Whole | _Digits":
        plan, node = self.engine.plan, self._divisions.get(op.out)
        if node is None:
            return _Digits(plan, op) if op.kind == CORRELATE else _Whole(plan, op, _factor(op))
        # the engine multiplies by what 1 / c rounds to
        factor = reciprocal(of_floats(self.engine.params[node.params[0]]))
        spelled = np.broadcast_to(factor.numbers, self.engine.graph.shapes[node.output]).ravel()
        every = np.arange(spelled.size)
        return _Whole(plan, Op(PAIRS, op.into, op.out, pairs=(every, every)), Exact(spelled, factor.unit))


def _factor(op: Op) -> Exact:
    return of_floats(np.ones(1) if op.factor is None else op.factor)


class _Whole:
    """A map of Python's integers."""

    def __init__(self, plan: Plan, op: Op, factor: Exact) -> None:
        self._unit = factor.unit
        self._affine = Affine(plan, [op._replace(factor=factor.numbers, offset=None)], np.dtype(object))

    def forth(self, value: Exact, *, absolute: bool = False) -> Exact:
        found = (self._affine.spread if absolute else self._affine.linear)(value.numbers)
        return Exact(found, value.unit * self._unit)

    def back(self, rows: Exact) -> Exact:
        (found,) = self._affine.back(rows.numbers)
        return Exact(found, rows.unit * self._unit)


class _Digits:
    """A correlation: a map for every digit of its weights."""

    def __init__(self, plan: Plan, op: Op) -> None:
        terms = Affine(plan, [op], np.dtype(np.float64)).terms
        self._width = (MANTISSA - terms.bit_length()) // 2
        if self._width < _LEAST_DIGIT:
            raise BeyondExactError("a layer is too large")
        ways = [op.forth, op.back]
        weights = np.concatenate([phase.weight.ravel() for way in ways for phase in way])
        found, self._unit = digits_of_floats(weights, self._width)
        self._parts = list[Affine]()
        for digit in found:
            forth, back = _replaced(ways, digit)
            part = op._replace(forth=forth, back=back, offset=None)
            self._parts.append(Affine(plan, [part], np.dtype(np.float64)))

    def forth(self, value: Exact, *, absolute: bool = False) -> Exact:
        return self._mapped(value, [part.spread if absolute else part.linear for part in self._parts])

    def back(self, rows: Exact) -> Exact:
        return self._mapped(rows, [_only(part) for part in self._parts])

    def _mapped(self, value: Exact, calls: Sequence[Callable[[Array], Array]]) -> Exact:
        given = digits(value.numbers, self._width)
        if len(given) > _MOST_DIGITS:
            raise BeyondExactError("the numbers grow too long")
        many, count = given.shape[:2]
        sums: list[Any] = [0] * (many + len(calls) - 1)  # by place: of far less than 2^10 numbers within 2^53
        for place, call in enumerate(calls):
            found = call(given.reshape(many * count, -1)).reshape(many, count, -1).astype(np.int64)
            for own in range(many):
                sums[place + own] = sums[place + own] + found[own]
        total: Any = sums[-1].astype(object)
        for own_sum in reversed(sums[:-1]):
            total = (total << self._width) + own_sum
        return Exact(total, value.unit * self._unit)


def _only(part: Affine) -> Callable[[Array], Array]:
    return lambda rows: part.back(rows)[0]


def _replaced(ways: Sequence[Sequence[Taps]], weights: Array) -> list[list[Taps]]:
    """The phases with these weights, given one after the other."""
    found, first = [], 0
    for way in ways:
        phases = []
        for phase in way:
            size = phase.weight.size
            phases.append(phase._replace(weight=weights[first : first + size].reshape(phase.weight.shape)))
            first += size
        found.append(phases)
    return found
