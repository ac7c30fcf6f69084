"""Rows of a job on their way back through the lines, and forwards along those that they met."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from .. import deadline
from .job import Job, Lining
from .plan import Array
from .steps import Bend

if TYPE_CHECKING:
    from .engine import Engine


class Bent:
    """The lines of a nonlinearity as the rows have them, [T, n] or [1, n]."""

    def __init__(self, lining: Lining, job: Job) -> None:
        def each(value: Array, own: bool) -> Array:
            return value if own else _of_boxes(job, value)

        self.up, self.up_start = each(lining.up, lining.own_up), each(lining.up_start, lining.own_up)
        self.low_start = None if lining.low_start is None else each(lining.low_start, lining.own_up)
        self.low, self.live, self._lining = each(lining.low, lining.own_low), np.empty(0, np.int64), lining
        self.own = lining.own_low or lining.slope is not None
        if self.own:
            self.low = np.array(np.broadcast_to(self.low, (job.size, self.low.shape[1])))
        if lining.slope is not None and lining.live is not None:
            self.live = lining.live
            self.low[:, self.live] = lining.slope
        elif lining.own_low:
            self.live = np.flatnonzero((self.up_start > 0).any(0))
        self.extra = None if lining.extra is None else lining.extra.copy()
        self.sign = lining.sign
        self.error = None if lining.error is None else _of_boxes(job, lining.error)

    @property
    def moved(self) -> Array:
        """The slopes that were the rows' own, as they were given."""
        if not self.own:
            return np.empty(0, self.low.dtype)
        return self.low if self._lining.slope is None else self.low[:, self.live]


class BentRows:
    """A job on its way: the coefficients of the last back-substitution by number of the value, [T, n]."""

    def __init__(self, engine: "Engine", job: Job) -> None:
        self.engine, self.job = engine, job
        self.bent = [None if lining is None else Bent(lining, job) for lining in job.linings]
        self.weights = np.ones((job.size, 1), engine.dtype) if job.rows is None else job.rows[2].copy()
        self.ball = job.ball if job.ball is None or job.own_end else job.ball.take(_index(job))
        self.centre, self.radius = (end if job.own_end else _of_boxes(job, end) for end in (job.centre, job.radius))
        self.coefs = dict[int, Array]()

    def lines_of(self, step: Bend) -> Bent:
        """Raises ValueError where they are not given."""
        bent = self.bent[step.lines]
        if bent is None:
            raise ValueError(f"a row meets the lines of {step.name!r}, which are not given")
        return bent

    def met(self, bent: Bent) -> Array:
        """The coefficients that met these lines."""
        step = next(step for step in self.engine.bends.values() if self.bent[step.lines] is bent)
        return self.coefs.get(step.out, np.zeros((self.job.size, step.size), self.engine.dtype))

    def bound(self, flip: tuple[Array, Array, Array] | None = None) -> Array:
        """[T]. flip: the lining, entry and sign of a neuron that each row has split."""
        coef, total, error = self._seed()
        self.coefs = coefs = {self.job.start: coef}
        for step in reversed(self.engine.steps):
            deadline.check()
            extra = getattr(self.bent[step.lines], "extra", None) if isinstance(step, Bend) else None
            if step.out not in coefs and extra is None:
                continue
            if isinstance(step, Bend):
                coef = coefs.setdefault(step.out, np.zeros((self.job.size, step.size), self.engine.dtype))
                constant, wrong, row = self._through(step, coef, flip)
                total, error = total + constant, error + wrong
                below: Iterable[tuple[int, Array]] = [(step.into, row)]
            else:
                coef = coefs[step.out]
                total = total if step.offset is None else total + coef @ step.offset
                below = zip(step.inputs, step.back(coef), strict=True)
            for number, part in below:
                coefs[number] = coefs[number] + part if number in coefs else part
        row = coefs.setdefault(0, np.zeros((self.job.size, self.engine.inputs), self.engine.dtype))
        if self.ball is not None:
            return total + _dot(row, self.ball.centre) + self.ball.least(row[:, None])[:, 0] - error
        return total + (row * self.centre - abs(row) * self.radius).sum(1) - error

    def _seed(self) -> tuple[Array, Array, Array]:
        """The rows over the start value [T, n], their own constants and what rounds of them."""
        job, none = self.job, np.zeros(self.job.size, self.engine.dtype)
        if job.rows is not None:
            rows, offset, _ = job.rows
            return (self.weights[:, None] @ rows)[:, 0], (self.weights * offset).sum(1), none
        neuron, sign = job.neurons or (none.astype(np.int64), none)
        coef = np.zeros((job.size, self.engine.size(job.start)), self.engine.dtype)
        coef[np.arange(job.size), neuron] = sign
        return coef, none, none if job.error is None else job.error[_index(job), neuron]

    def _through(self, step: Bend, coef: Array, flip: tuple[Array, Array, Array] | None) -> tuple[Array, Array, Array]:
        """Constants, errors and rows over z of rows over f(z)."""
        bent, positive = self.lines_of(step), np.maximum(coef, 0)
        negative = coef - positive
        constant, row = _dot(negative, bent.up_start), positive * bent.low + negative * bent.up
        if bent.low_start is not None:
            constant = constant + _dot(positive, bent.low_start)
        if bent.extra is not None:
            row = row + bent.extra
        if flip is not None:
            constant = constant + self._flipped(step, coef, bent, flip, row)
        wrong = np.zeros((), coef.dtype) if bent.error is None else _dot(abs(coef), bent.error)
        return constant, wrong, row

    def _flipped(self, step: Bend, coef: Array, bent: Bent, flip: tuple[Array, Array, Array], row: Array) -> Array:
        """Gives the neurons that are split the lines of their side, in `row`; what the constants change by."""
        here = np.flatnonzero(flip[0] == step.lines)
        entry, sign, change = flip[1][here], flip[2][here], np.zeros(self.job.size, coef.dtype)

        def at(lines: Array) -> Array:
            return lines[here if len(lines) > 1 else 0, entry]

        own = coef[here, entry]
        positive = np.maximum(own, 0)
        negative = own - positive
        row[here, entry] += np.where(sign > 0, own, 0) - (positive * at(bent.low) + negative * at(bent.up))
        change[here] -= negative * at(bent.up_start)
        if bent.low_start is not None:
            change[here] -= positive * at(bent.low_start)
        return change

    def lowest(self) -> Array:
        """Where the bounds are taken [T, inputs]."""
        row = self.coefs[0]
        if self.ball is not None:
            return self.ball.lowest(row[:, None])[:, 0]
        return self.centre + np.where(row > 0, -self.radius, self.radius)

    def forwards(self) -> dict[int, Array]:
        """From there on the values [T, n] along the lines that were met, by number."""
        points = {0: self.lowest()}
        for step in self.engine.steps:
            deadline.check()
            if step.out not in self.coefs:
                continue
            if not isinstance(step, Bend):
                points[step.out] = step.forward(*(points[number] for number in step.inputs))
                continue
            bent, z = self.lines_of(step), points[step.into]
            low = bent.low * z if bent.low_start is None else bent.low * z + bent.low_start
            points[step.out] = np.where(self.coefs[step.out] > 0, low, bent.up * z + bent.up_start)
        return points


def _index(job: Job) -> Array:
    """Each row's box, [T] or one for all."""
    return np.zeros(1, np.int64) if job.box is None else job.box


def _of_boxes(job: Job, value: Array) -> Array:
    """Of every row's box what is given for boxes [B, n]: [T, n] or [1, n]."""
    return value[_index(job)]


def _dot(rows: Array, values: Array) -> Array:
    """[T], for values [T, n] or [1, n]."""
    return rows @ values[0] if len(values) == 1 else np.asarray(np.einsum("tn,tn->t", rows, values))
