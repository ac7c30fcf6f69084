"""Back-substitution of many rows, and the ascent over each one's lower slopes and split multipliers, in numpy: what the
compiled program does (c/rows.h), for networks, inputs and machines that it is not for."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .ascent import ascend, plain_moving
from .bent_rows import BentRows
from .job import Found, Job, Lining
from .plan import Array

if TYPE_CHECKING:
    from .engine import Engine

_ROOM = 1 << 28  # bytes of the rows that are alive together
_COPIES = 4  # of the coefficients of every value


class PlainRows:
    """For any network, in the dtype of its engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        entries = sum(engine.size(number) for number in range(len(engine.plan.values)))
        self._most = max(1, _ROOM // (_COPIES * entries * engine.dtype.itemsize))

    def bounds(self, job: Job, *, steps: int = 0, rate: float = 0.25, decay: float = 0.95) -> Found:
        """Lower bounds of the job's rows. steps: of ascent, that ends early where all are positive. Raises `OutOfTime`
        where the deadline comes first."""
        if job.size == 0:
            raise ValueError("rows are given as neurons or with coefficients, one at least")
        parts = [slice(first, first + self._most) for first in range(0, job.size, self._most)]
        with np.errstate(invalid="ignore", over="ignore"):
            if len(parts) == 1:
                return self._bounds(job, steps, rate, decay)
            return _joined([self._bounds(_some(job, part), steps, rate, decay) for part in parts])

    def _bounds(self, job: Job, steps: int, rate: float, decay: float) -> Found:
        rows, none = BentRows(self._engine, job), np.empty(0, self._engine.dtype)
        bound = ascend(rows, plain_moving(rows), steps, rate, decay)
        met = [rows.met(bent) if job.look and bent is not None else none for bent in rows.bent]
        corner = rows.lowest() if job.look else None
        moved = [bent if steps else None for bent in rows.bent]
        low = [none if bent is None else bent.moved for bent in moved]
        extra = [none if bent is None or bent.extra is None else bent.extra for bent in moved]
        flips = None if job.flips is None else zip(*job.flips, strict=True)
        flipped = None if flips is None else np.stack([rows.bound(flip) for flip in flips])
        return Found(bound, met, corner, low, extra, None if job.rows is None else rows.weights, flipped)


def _some(job: Job, part: slice) -> Job:
    """Some of the rows."""

    def of(value: Any, own: bool = True) -> Any:
        return value[part] if own and value is not None else value

    def lining(each: Lining | None) -> Lining | None:
        return each and each._replace(
            low=of(each.low, each.own_low),
            low_start=of(each.low_start, each.own_up),
            up=of(each.up, each.own_up),
            up_start=of(each.up_start, each.own_up),
            extra=of(each.extra),
            sign=of(each.sign),
            slope=of(each.slope),
        )

    def each_of(values: Any, axis: int = 0) -> Any:
        return values and tuple(value[(slice(None),) * axis + (part,)] for value in values)

    return job._replace(
        linings=[lining(each) for each in job.linings],
        centre=of(job.centre, job.own_end),
        radius=of(job.radius, job.own_end),
        ball=job.ball.take(part) if job.own_end and job.ball is not None else job.ball,
        neurons=each_of(job.neurons),
        rows=each_of(job.rows),
        box=of(job.box),
        flips=each_of(job.flips, 1),
    )


def _joined(parts: list[Found]) -> Found:
    def one(values: Any, axis: int = 0) -> Array | None:
        given = list(values)
        return None if given[0] is None else np.concatenate(given, axis)

    def each(kind: str) -> list[Any]:
        return [one(values) for values in zip(*(getattr(part, kind) for part in parts), strict=True)]

    bound, corner, weights = (one(getattr(part, kind) for part in parts) for kind in ("bound", "corner", "weights"))
    flipped = one((part.flipped for part in parts), 1)
    return Found(np.asarray(bound), each("met"), corner, each("low"), each("extra"), weights, flipped)
