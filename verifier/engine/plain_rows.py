"""Back-substitution of many rows, and the ascent over each one's lower slopes and split multipliers, in numpy: what the
compiled program does (c/rows.h), for networks, inputs and machines that it is not for."""

from typing import TYPE_CHECKING

import numpy as np

from .ascent import ascend
from .bent_rows import BentRows
from .job import Found, Job

if TYPE_CHECKING:
    from .engine import Engine


class PlainRows:
    """For any network, in the dtype of its engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def bounds(self, job: Job, *, steps: int = 0, rate: float = 0.25, decay: float = 0.95) -> Found:
        """Lower bounds of the job's rows. steps: of ascent, that ends early where all are positive. Raises `OutOfTime`
        where the deadline comes first."""
        if job.size == 0:
            raise ValueError("rows are given as neurons or with coefficients, one at least")
        with np.errstate(invalid="ignore", over="ignore"):
            rows = BentRows(self._engine, job)
            best = rows.bound()
            if steps:
                best = ascend(rows, best, steps, rate, decay)
            none = np.empty(0, self._engine.dtype)
            flips = None if job.flips is None else zip(*job.flips, strict=True)
            corner = rows.lowest() if job.look else None
            met = [rows.met(bent) if job.look and bent is not None else none for bent in rows.bent]
            moved = [bent if steps else None for bent in rows.bent]
            return Found(
                best,
                met,
                corner,
                [none if bent is None else bent.moved for bent in moved],
                [none if bent is None or bent.extra is None else bent.extra for bent in moved],
                rows.weights,
                None if flips is None else np.stack([rows.bound(flip) for flip in flips]),
            )
