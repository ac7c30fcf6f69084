"""Back-substitution of many rows through any graph of convolutions, products, sparse maps and lines, compiled.

`RowsProgram.bounds` carries rows, side by side in a vector, from any value to the network's input, each with lines of
its own or all of a box with the same, and may improve every row's lower slopes and split multipliers by gradient ascent
(c/rows.h). One program for all networks.
"""

import ctypes

import numpy as np

from . import compiled
from .call import Ascent, Call
from .job import Found, Job, Lining
from .packed import PackedPlan
from .plan import Plan

__all__ = ["Found", "Job", "Lining", "RowsProgram", "rows_program"]


class RowsProgram:
    """A plan and copies of its weights in one dtype, ready for `bounds`. Use `rows_program`."""

    def __init__(self, program: compiled.Program, plan: Plan, dtype: np.dtype) -> None:
        self.dtype, self._program = dtype, program
        program.library.scratch_reals.restype = ctypes.c_long
        program.library.substitute.restype = ctypes.c_long
        self._sizes, self._plan = list(plan.linings), PackedPlan(plan, dtype)

    def bounds(self, job: Job, *, steps: int = 0, rate: float = 0.25, decay: float = 0.95) -> Found:
        """Lower bounds of the job's rows. steps: of ascent, that ends early where all are positive. Raises `OutOfTime`
        where the deadline comes first."""
        if job.size == 0 or job.ball is not None:
            raise ValueError("the compiled program takes rows over boxes, one at least: neurons or with coefficients")
        call = Call(job, self._sizes, self._program, self.dtype)
        call.run(self._plan, Ascent(steps, rate, decay))
        return call.found(steps > 0)


def rows_program(plan: Plan, dtype: np.dtype) -> RowsProgram | None:
    """None where there is neither a program for this machine nor a compiler."""
    program = compiled.program("rows.h", dtype.itemsize)
    return None if program is None else RowsProgram(program, plan, dtype)
