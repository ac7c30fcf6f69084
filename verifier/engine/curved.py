"""The ascent of duals where nonlinearities bend everywhere: a slope moves all four parts of their lines, and splits are
anywhere."""

import numpy as np

from ..functions import Box, Lines
from .ascent import Moving, ascend, moving_weights
from .bent_rows import BentRows
from .dual_job import DualJob
from .dual_values import Cuts, Dual, held, held_ends
from .plan import Array
from .steps import Bend


def climbed_curves(asked: DualJob, *, steps: int, rate: float, decay: float) -> tuple[Array, Dual]:
    """The best bounds [B, M] of so many steps, and the dual that gave them."""
    with np.errstate(invalid="ignore", over="ignore"):
        rows = _CurvedRows(asked)
        best = ascend(rows, rows.moving(), steps, rate, decay)
    slopes = {name: asked.shaped(slope) for name, slope in rows.slopes.items()}
    multipliers = asked.dual.multipliers
    if asked.cuts is not None:
        multipliers = {name: asked.shaped(extra) for name, extra in rows.multipliers.items()}
    weights = None if asked.dual.weights is None else rows.weights
    return best.reshape(asked.boxes, asked.rows), Dual(slopes, multipliers, weights)


class _CurvedRows(BentRows):
    """slopes, boxes and, where there are splits, multipliers and cuts [T, n] by name of the nonlinearity's input."""

    def __init__(self, asked: DualJob) -> None:
        super().__init__(asked.engine, asked.job)
        self.slopes = {name: asked.spelled(slope).copy() for name, slope in asked.dual.slopes.items()}
        self.boxes = {name: Box(*(asked.spelled(end[:, None]) for end in box)) for name, box in asked.pre.items()}
        self.multipliers, self.cuts = dict[str, Array](), dict[str, Cuts]()
        for name, cut in (asked.cuts or {}).items():
            bent = self.bent[asked.engine.bends[name].lines]
            if bent is not None and bent.extra is not None:
                self.multipliers[name] = bent.extra
                self.cuts[name] = Cuts(*(asked.spelled(end[:, None]) for end in cut))

    def bound(self, flip: tuple[Array, Array, Array] | None = None) -> Array:
        found = super().bound(flip)
        for name, multiplier in self.multipliers.items():
            found = found - held(multiplier[:, None], self.boxes[name], self.cuts[name])[:, 0]
        return found

    def moving(self) -> list[Moving]:
        found: list[Moving] = [_Slopes(self, self.engine.bends[name]) for name in self.slopes]
        found += [_Splits(self, self.engine.bends[name]) for name in self.multipliers]
        return found + moving_weights(self)


class _Slopes(Moving):
    """Each with the lines of a slope nearby, whose difference is the gradient."""

    def __init__(self, rows: _CurvedRows, step: Bend) -> None:
        slopes, bent = rows.slopes[step.name], rows.lines_of(step)
        super().__init__(slopes, np.arange(slopes.shape[1]), 1.0)
        self._box, self._step, self._bent = rows.boxes[step.name], step, bent
        self._move = float(np.cbrt(np.finfo(slopes.dtype).eps))
        self.changed()

    def changed(self) -> None:
        there = np.where(self.array + self._move <= 1, self.array + self._move, self.array - self._move)
        both = self._step.function.lines(self._box, np.stack([self.array, there], 1))
        here, nearby = (Lines(*(None if part is None else part[:, k] for part in both)) for k in (0, -1))
        self._bent.low, self._bent.low_start, self._bent.up, self._bent.up_start = here
        step = there - self.array
        self._change = Lines(*(None if b is None else (b - a) / step for a, b in zip(here, nearby, strict=True)))

    def gradient(self, rows: BentRows, points: dict[int, Array]) -> Array:
        z, coef, (low, low_start, up, up_start) = points[self._step.into], rows.coefs[self._step.out], self._change
        below = low * z if low_start is None else low * z + low_start
        return np.asarray(coef * np.where(coef > 0, below, up * z + up_start))

    def projected(self, moved: Array) -> Array:
        return moved.clip(0, 1)


class _Splits(Moving):
    def __init__(self, rows: _CurvedRows, step: Bend) -> None:
        multipliers, self._cut = rows.multipliers[step.name], rows.cuts[step.name]
        super().__init__(multipliers, np.arange(multipliers.shape[1]), 0.5)
        self._box, self._step = rows.boxes[step.name], step
        self._least, self._most = (np.where(end, np.inf, 0).astype(multipliers.dtype) for end in self._cut)

    def gradient(self, rows: BentRows, points: dict[int, Array]) -> Array:
        ends = held_ends(self.array[:, None], self._box, self._cut)[:, 0]
        return np.asarray(points[self._step.into] - ends)

    def projected(self, moved: Array) -> Array:
        return moved.clip(-self._least, self._most)
