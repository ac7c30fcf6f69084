"""Specification rows and a dual as a job: every row of every box by itself, with lines of its own."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from ..functions import Box, Lines
from .anchor import Anchor
from .dual_values import Cuts, Dual, held
from .engine import Engine
from .job import Job, Lining
from .plan import Array
from .substitution import Spec, relax


class DualJob:
    """B boxes, each with M rows or, where the dual has weights, with the one that is their sum: T of them together."""

    def __init__(
        self,
        engine: Engine,
        spec: Spec,
        pre: Mapping[str, Box],
        dual: Dual,
        cuts: Mapping[str, Cuts] | None,
        anchor: Anchor,
    ) -> None:
        self.engine, self.spec, self.pre = engine, spec, pre
        self.dual, self.cuts, self.anchor = dual, cuts, anchor
        self.boxes, self.rows = len(anchor.box.lower), spec.rows.shape[1] if dual.weights is None else 1

    def spelled(self, value: Array) -> Array:
        """[B, 1|M, n] -> [T, n], with as few copies as can be."""
        shape = self.boxes, self.rows, value.shape[2]
        return (value if value.shape == shape else np.broadcast_to(value, shape)).reshape(-1, value.shape[2])

    def shaped(self, value: Array) -> Array:
        """[T, n] -> [B, M, n]."""
        return value.reshape(self.boxes, self.rows, -1)

    def named(self, values: list[Array]) -> dict[str, Array]:
        """By name of the nonlinearity's input what comes by number of the lines."""
        return {name: self.shaped(values[self.engine.bends[name].lines]) for name in self.pre}

    def held(self, dual: Dual) -> Array:
        """What a dual's multipliers take off the bounds [B, M], at the ends of boxes that they belong to."""
        found = np.zeros((self.boxes, 1), self.engine.dtype)
        for name, cut in (self.cuts or {}).items():
            found = found + held(dual.multipliers[name], self.pre[name], cut)
        return found

    @cached_property
    def job(self) -> Job:
        rows, offset = (np.broadcast_to(part, (self.boxes, *part.shape[1:])) for part in self.spec)
        weights, ball = self.dual.weights, self.anchor.ball
        if weights is None:
            rows, offset = rows.reshape(-1, 1, rows.shape[2]), offset.reshape(-1, 1)
            weights = np.ones_like(offset)
        linings: list[Lining | None] = [None] * len(self.engine.plan.linings)
        for name, lines in relax(self.engine, self.pre, self.dual.slopes).items():
            linings[self.engine.bends[name].lines] = self._lining(name, lines)
        return Job(
            self.engine.output, linings, self._each(self.anchor.centre), self._each(self.anchor.radius),
            rows=(rows, offset, weights), own_end=True, ball=None if ball is None else ball.each(self._each),
        )  # fmt: skip

    def _each(self, value: Array) -> Array:
        """For every row what boxes [B, n] have."""
        return value if self.rows == 1 else value.repeat(self.rows, 0)

    def _lining(self, name: str, lines: Lines) -> Lining:
        low, start, up, up_start = lines
        start = None if start is None else self.spelled(start)
        sign = extra = None
        if self.cuts is not None:
            cut = self.cuts[name]
            sign = self.spelled(np.subtract(cut.lower, cut.upper, dtype=self.engine.dtype)[:, None])
            extra = self.spelled(self.dual.multipliers[name])
        return Lining(self.spelled(low), start, self.spelled(up), self.spelled(up_start), True, True, extra, sign)
