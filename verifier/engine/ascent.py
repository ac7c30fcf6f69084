"""The ascent over the lower slopes, split multipliers and weights of each row, by where its bound is taken."""

from collections.abc import Sequence

import numpy as np

from .bent_rows import Bent, BentRows
from .plan import Array
from .steps import Bend


class Moving:
    """Some entries of an array that ascend by Adam (Kingma and Ba 2015), and the best that they were."""

    def __init__(self, array: Array, entries: Array, share: float) -> None:
        self.array, self.entries, self.share = array, entries, share
        self.best = array[:, entries]
        self._mean, self._square = np.zeros_like(self.best), np.zeros_like(self.best)

    def gradient(self, rows: BentRows, points: dict[int, Array]) -> Array:
        """Of the rows' bounds, by what is known at the points where these are taken."""
        raise NotImplementedError

    def projected(self, moved: Array) -> Array:
        """To where the entries may be."""
        raise NotImplementedError

    def changed(self) -> None:
        """Called after every change."""

    def step(self, gradient: Array, number: int, rate: float) -> None:
        self._mean = self._mean * 0.9 + gradient * 0.1
        self._square = self._square * 0.999 + gradient * gradient * 0.001
        mean, square = self._mean / (1 - 0.9 ** (number + 1)), self._square / (1 - 0.999 ** (number + 1))
        moved = self.array[:, self.entries] + self.share * rate * mean / (np.sqrt(square) + 1e-8)
        self.array[:, self.entries] = self.projected(moved)
        self.changed()

    def keep(self, better: Array) -> None:
        self.best = np.where(better[:, None], self.array[:, self.entries], self.best)

    def restore(self) -> None:
        self.array[:, self.entries] = self.best
        self.changed()


class _Slopes(Moving):
    def __init__(self, step: Bend, bent: Bent) -> None:
        super().__init__(bent.low, bent.live, 1.0)
        self._step = step
        # a row of its own box may know the sign of a neuron: its upper line starts at 0
        self._free = bent.up_start[:, bent.live] > 0

    def gradient(self, rows: BentRows, points: dict[int, Array]) -> Array:
        coef, at = rows.coefs[self._step.out], points[self._step.into]
        return np.maximum(coef[:, self.entries], 0) * at[:, self.entries]

    def projected(self, moved: Array) -> Array:
        return np.where(self._free, moved.clip(0, 1), self.array[:, self.entries])


class _Splits(Moving):
    """extra = -sign · multiplier, multiplier >= 0."""

    def __init__(self, step: Bend, extra: Array, sign: Array) -> None:
        split = np.flatnonzero((sign != 0).any(0))
        super().__init__(extra, split, 0.5)
        self._step, self._sign = step, sign[:, split]

    def gradient(self, rows: BentRows, points: dict[int, Array]) -> Array:
        return points[self._step.into][:, self.entries]

    def projected(self, moved: Array) -> Array:
        return -self._sign * np.maximum(-self._sign * moved, 0)


class Weights(Moving):
    """Of rows [T, M, n] over the start value, offset [T, M]."""

    def __init__(self, weights: Array, rows: Array, offset: Array) -> None:
        super().__init__(weights, np.arange(weights.shape[1]), 0.5)
        self._rows, self._offset = rows, offset

    def gradient(self, rows: BentRows, points: dict[int, Array]) -> Array:
        return (self._rows @ points[rows.job.start][:, :, None])[:, :, 0] + self._offset

    def projected(self, moved: Array) -> Array:
        least = np.maximum(moved, 1e-6)
        return least / least.sum(1, keepdims=True)


def moving_weights(rows: BentRows) -> list[Moving]:
    """None where there is but one row to a sum."""
    given = rows.job.rows
    return [] if given is None or given[2].shape[1] < 2 else [Weights(rows.weights, *given[:2])]


def plain_moving(rows: BentRows) -> list[Moving]:
    """What the compiled program moves."""
    found: list[Moving] = []
    for step in rows.engine.bends.values():
        bent = rows.bent[step.lines]
        if bent is not None and len(bent.live):
            found.append(_Slopes(step, bent))
        if bent is not None and bent.extra is not None and bent.sign is not None:
            found.append(_Splits(step, bent.extra, bent.sign))
    return found + moving_weights(rows)


def ascend(rows: BentRows, moving: Sequence[Moving], steps: int, rate: float, decay: float) -> Array:
    """The best bounds [T] of so many steps; leaves what moved, and where that is asked for the coefficients, as they
    were at these."""
    best = rows.bound()
    for number in range(steps):
        if (best > 0).all():
            break
        points = rows.forwards()
        for each in moving:
            each.step(each.gradient(rows, points), number, rate * decay**number)
        found = rows.bound()
        better = found > best
        best = np.where(better, found, best)
        for each in moving:
            each.keep(better)
    for each in moving:
        each.restore()
    return rows.bound() if rows.job.look else best
