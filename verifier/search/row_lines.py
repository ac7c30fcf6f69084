"""DeepPoly's lower lines of specification rows over boxes of inputs: row(x) >= centre + A · (x - middle)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..engine.anchor import Anchor
from ..engine.dense import dense_network
from ..engine.engine import Engine
from ..engine.errors import Errors, analysed
from ..engine.images import images
from ..engine.plan import Array
from ..engine.preactivations import Stop, relaxed
from ..engine.substitution import substituted
from ..functions import Box
from .axes import gains
from .memory import rows_at_once


class RowLines(NamedTuple):
    """slopes [D, C, M, n], centre [D, C, M], middle and radius [D, n], lowest [D, C, M]; needed [D, C, M]: what a bound
    must exceed to prove anything, for rounding; gain [D, C, M, n] as of `axes`. All float64, for M rows of each of C
    clauses.
    """

    slopes: Array
    centre: Array
    middle: Array
    radius: Array
    lowest: Array
    needed: Array
    gain: Array | None = None

    @property
    def best(self) -> Array:
        """The best bound [D, C] that a single row gives."""
        return np.asarray(self.lowest.max(2))

    @property
    def refuted(self) -> Array:
        """[D, C]; NaN refutes nothing."""
        return np.asarray((self.lowest > self.needed).any(2))

    def corner(self, box: Box, alive: Array) -> Array:
        """Where the best row of the clause with the lowest bound is least [D, n]."""
        clause = np.where(alive, self.best, np.inf).argmin(1)
        every = np.arange(len(clause))
        row = self.lowest[every, clause].argmax(1)
        return np.asarray(np.where(self.slopes[every, clause, row] > 0, box.lower, box.upper))

    def prospect(self, lower: Array, upper: Array) -> "Prospect":
        """What to expect of splits of the boxes [D, n] that are left of these."""
        row = self.lowest.argmax(2)[:, :, None, None]
        slopes = abs(np.take_along_axis(self.slopes, row, 2)[:, :, 0])
        slopes = slopes + 0.05 * slopes.max(2, keepdims=True) + 1e-30  # a flat line says nothing of the relaxation
        score = slopes * self.radius[:, None]
        if self.gain is None:
            return Prospect(score, np.zeros_like(score), np.full_like(self.best, np.inf))
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.nan_to_num((upper - lower) / (2 * self.radius))[:, None]
            gain = np.take_along_axis(self.gain, row, 2)[:, :, 0] * left
            return Prospect(gain + _MOVED * score * left, gain, self.best)


class Prospect(NamedTuple):
    """score [D, C, n]: how much splits of inputs help the best rows of clauses. gain [D, C, n]: what halving an input
    takes from their slack, as far as known; expected [D, C]: the bounds, infinite where nothing is known."""

    score: Array
    gain: Array
    expected: Array

    def take(self, index: Array) -> "Prospect":
        return Prospect(*(part[index] for part in self))

    def halved(self, axis: Array) -> "Prospect":
        """Of both halves, each box cut across its axis [D]."""
        every = np.arange(len(axis))
        score, gain = self.score.copy(), self.gain.copy()
        score[every, :, axis] /= 2
        gain[every, :, axis] /= 2
        return Prospect(score, gain, self.expected + _FORETOLD * self.gain[every, :, axis])


_MOVED = 0.01  # of a row's own movement, beside the gain: it raises one of the halves only, and `cut` takes that away
_FORETOLD = 2.0  # bounds rise by more than the gain, which is of first order and leaves out what layers do together
_DIRECTIONS = 64  # different rows that are bounded for every box, whether it asks for them or not


class RowBounder:
    """Lines of the rows [G, C, M, K], offset [G, C, M], for boxes within those of these groups [G, n]: by the compiled
    program where the network is dense and the rows are few, apart from their offsets.

    neurons: how many there are, whose signs are worth to be kept with a box.
    """

    def __init__(self, engine: Engine, box: Box, rows: Array, offset: Array, *, memory: int, stop: Stop) -> None:
        """memory, stop: as in `relaxed`."""
        self._engine, self._rows, self._offset, self._memory, self._stop = engine, rows, offset, memory, stop
        self.neurons = engine.neurons
        directions, index = np.unique(rows.reshape(-1, rows.shape[3]), axis=0, return_inverse=True)
        self._dense = dense_network(engine) if len(directions) <= _DIRECTIONS else None
        if self._dense is not None:
            self._index = index.reshape(rows.shape[:3])
            self._error, self._needed = _everywhere(engine, box, rows, offset)
            self._last = self._dense.rows(directions)

    def __call__(self, box: Box, group: Array, signs: Array) -> tuple[RowLines, Array]:
        """For boxes [D, n], the number of each one's group [D] and its known signs [D, neurons]: also new signs."""
        rows, offset = self._rows[group], self._offset[group]
        if self._dense is None:
            return self._by_rows(box, rows, offset, signs)
        found = self._dense.bounds(self._last, *box, self._error[group], signs)
        middle, radius = (box.lower + box.upper) / 2, (box.upper - box.lower) / 2
        which = self._index[group].reshape(len(group), -1)
        lowest = np.take_along_axis(found.lower, which, 1).reshape(offset.shape) + offset
        slopes = np.take_along_axis(found.coef, which[:, :, None], 1).reshape(*lowest.shape, -1)
        centre = lowest + (abs(slopes) * radius[:, None, None]).sum(3)
        return RowLines(slopes, centre, middle, radius, lowest, self._needed[group]), found.signs

    def _by_rows(self, box: Box, rows: Array, offset: Array, signs: Array) -> tuple[RowLines, Array]:
        ends = np.cumsum([bend.size for bend in self._engine.bends.values()])[:-1]
        known = dict(zip(self._engine.bends, np.split(signs, ends, axis=1), strict=True)) if len(signs[0]) else {}
        few = rows.shape[1] * rows.shape[2] <= _DIRECTIONS
        lines, pre, _ = row_lines(
            self._engine, box, rows, offset, memory=self._memory, stop=self._stop, signs=known, gain=few
        )
        new = [(own.lower >= 0).astype(np.int8) - (own.upper <= 0).astype(np.int8) for own in pre.values()]
        return lines, np.concatenate([signs[:, :0], *new], 1)


def _everywhere(engine: Engine, box: Box, rows: Array, offset: Array) -> tuple[Array, Array]:
    """Errors [G, neurons] of the neurons' bounds in any box within those of the groups [G, n], and of the rows': what
    bounds round, not the network, whose own rounding the program takes off for each box by itself."""
    known, anchor = images(engine, box), Anchor(box)
    errors = analysed(engine, anchor, {n: known[bend.into] for n, bend in engine.bends.items()}, sound=False)
    if engine.real is not engine:
        sound = {name: errors.around(bend.into, known[bend.into]) for name, bend in engine.bends.items()}
        errors = analysed(engine.real, anchor, sound)
    needed = errors.rows(rows.reshape(len(rows), -1, rows.shape[3]), offset.reshape(len(rows), -1))
    neurons = [errors.whole[bend.into] for bend in engine.bends.values()]
    return np.concatenate(neurons, 1), needed.reshape(offset.shape)


@np.errstate(over="ignore", invalid="ignore")
def row_lines(
    engine: Engine,
    box: Box,
    rows: Array,
    offset: Array,
    *,
    memory: int,
    stop: Stop = lambda: False,
    signs: Mapping[str, Array] | None = None,
    gain: bool = False,
) -> tuple[RowLines, dict[str, Box], Errors]:
    """box [D, n], rows [D, C, M, K], offset [D, C, M]: the lines, the boxes of the nonlinearities' inputs, and what may
    have rounded.

    memory, stop, signs: as in `relaxed`. gain: with gains, and what is needed by the coefficients that
    there are.
    """
    count, shape = len(rows), rows.shape[1:3]
    given, starts = rows.reshape(count, -1, rows.shape[3]), offset.reshape(count, -1)
    anchor = Anchor(box)
    errors = Errors(engine, anchor)
    pre, lines = relaxed(engine, anchor, errors, memory=memory, stop=stop, signs=signs)
    needed = errors.rows(given, starts)
    size, parts = rows_at_once(engine, count, memory), []
    for first in range(0, given.shape[1], size):
        part = slice(first, first + size)
        own = substituted(engine, engine.output, given[:, part], lines, anchor, keep=gain)
        gained = gains(engine, box, pre, lines, own.met, own.value.shape[1]) if gain else own.coef[:, :0]
        if gain:
            needed[:, part] = np.fmin(needed[:, part], errors.met(given[:, part], starts[:, part], own.met))
        parts.append((own.value, own.coef, gained))
    value, slopes, gained = (np.concatenate(each, 1) for each in zip(*parts, strict=True))
    radius = anchor.radius
    centre = value + starts
    lowest = centre - (abs(slopes) * radius[:, None]).sum(2)

    def shaped(array: Array) -> Array:
        return array.reshape(count, *shape, *array.shape[2:])

    found = RowLines(shaped(slopes), shaped(centre), anchor.centre, radius, shaped(lowest), shaped(needed))
    return found._replace(gain=shaped(gained) if gain else None), pre, errors
