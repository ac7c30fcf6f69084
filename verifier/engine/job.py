"""What a program for rows is asked, and what it answers: `Job`, `Found`."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .ball import CutBall
from .plan import Array


class Lining(NamedTuple):
    """A nonlinearity's lines [T, n] for every row, or [B, n] for every box where they are not `own`.

    lower: low · z + low_start, upper: up · z + up_start. own_low: low alone is [T, n]; or slope [T, m]: the rows' own
    of the entries live [m], in place of low. extra, sign [T, n]: a split's signed multiplier, and 1 or -1 where there
    is one. error [B, n]: taken off a bound for a coefficient of one that meets the lines, for rounding. An ascent
    changes low, where it is the rows' own, or slope, and extra.
    """

    low: Array
    low_start: Array | None
    up: Array
    up_start: Array
    own_low: bool = False
    own_up: bool = False
    extra: Array | None = None
    sign: Array | None = None
    slope: Array | None = None
    live: Array | None = None
    error: Array | None = None


class Job(NamedTuple):
    """T rows over the value `start`, to be bounded; all arrays in the program's dtype.

    neurons: flat numbers [T] and signs [T], rows v_i or -v_i; or rows [T, M, entries], offset [T, M], weights [T, M]:
    their weighted sum. linings: by number of the lines; None: no row meets these. box [T] int64: which lines and ends
    [B, n] a row goes by, equal ones best next to each other; None: the first, or all `own_end` centre, radius [T, n].
    look: also `met` and `corner`. flips: numbers of the lining and entry and signs [V, T] of a neuron that each
    further bound has split. error [B, entries]: as a lining's, of the start value. ball: what the bounds are
    taken over in place of the box; the compiled program takes none.
    """

    start: int
    linings: Sequence[Lining | None]
    centre: Array
    radius: Array
    neurons: tuple[Array, Array] | None = None
    rows: tuple[Array, Array, Array] | None = None
    box: Array | None = None
    own_end: bool = False
    look: bool = False
    flips: tuple[Array, Array, Array] | None = None
    error: Array | None = None
    ball: CutBall | None = None

    @property
    def size(self) -> int:
        """T."""
        given = self.neurons or self.rows
        return len(given[0]) if given else 0


class Found(NamedTuple):
    """bound [T] of the rows; met: for each nonlinearity the coefficients [T, n] that met its lines; corner [T, end]:
    where the bound is taken; low (or slope), extra, weights: after the ascent, where there was one; flipped [V, T]:
    with one more split each. What was not asked for is empty in the lists and None beside them."""

    bound: Array
    met: list[Array]
    corner: Array | None
    low: list[Array]
    extra: list[Array]
    weights: Array | None
    flipped: Array | None


class Rows(Protocol):
    """What bounds rows, compiled (`RowsProgram`) or in numpy (`PlainRows`)."""

    def bounds(self, job: Job, *, steps: int = 0, rate: float = 0.25, decay: float = 0.95) -> Found:
        """Lower bounds of the job's rows. steps: of ascent, that ends early where all are positive. Raises `OutOfTime`
        where the deadline comes first."""
