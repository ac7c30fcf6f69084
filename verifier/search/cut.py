"""What lines leave of a box: a clause is unsafe only where every line of its rows is at most zero.

    centre + A · (x - middle) <= s,  lower <= x <= upper   =>   A_i x_i <= s - centre - min over the rest of the box

(s: twice what rounding needs, so that what is cut away is proved.) With several clauses alive a box keeps what any of
them needs.
"""

import numpy as np

from ..engine.plan import Array
from .row_lines import RowLines

CUT = 2.0  # how much more than rounding needs a line shows of what is cut away
_ROUNDS = 2  # over the rows, where there are several
_SHOWN, _WORTH = 0.98, 0.05  # parts: of a cut, of a box


@np.errstate(all="ignore")
def cut(
    lines: RowLines, lower: Array, upper: Array, alive: Array, steps: list[tuple[Array, Array]] | None = None
) -> tuple[Array, Array, Array]:
    """The boxes [D, n] that are left, each within its own, and which clauses [D, C] are still alive. steps: is given
    the boxes that each row leaves, of those of which no clause is left the last ones; for whoever has to show it."""
    low, high = (np.repeat(end[:, None], alive.shape[1], 1) for end in (lower, upper))
    rows, middle = lines.slopes.shape[2], lines.middle[:, None]
    for _ in range(_ROUNDS if rows > 1 else 1):
        for row in range(rows):
            slope = lines.slopes[:, :, row]
            rises = slope > 0
            least = lines.centre[:, :, row] + (slope * (np.where(rises, low, high) - middle)).sum(2)
            room = CUT * lines.needed[:, :, row] - least
            alive = alive & ~(room < 0)
            reach = np.maximum(room, 0)[:, :, None] / slope  # infinite where the line is flat
            before = low, high
            high = np.where(rises, np.fmin(high, low + reach), high)  # fmin passes NaN over
            low = np.where(slope < 0, np.fmax(low, high + reach), low)
            if steps is not None:
                low, high = _certified(*before, low, high)
                steps.append(_around(low, high, alive, *(steps[-1] if steps else (lower, upper))))
    return *_around(low, high, alive, lower, upper), alive


def _certified(low: Array, high: Array, least: Array, most: Array) -> tuple[Array, Array]:
    """Cuts that another's lines, a little lower, show too, and which are worth to be written."""
    width = high - low
    up, down = (least - low) * _SHOWN, (high - most) * _SHOWN
    return np.where(up > _WORTH * width, low + up, low), np.where(down > _WORTH * width, high - down, high)


def _around(low: Array, high: Array, alive: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Of the boxes [D, C, n] of clauses that are alive what holds them all, within lower and upper; these, where none
    is."""
    inside, some = alive[:, :, None], alive.any(1, keepdims=True)
    least = np.where(inside, low, np.inf).min(1)
    most = np.where(inside, high, -np.inf).max(1)
    return np.where(some, np.maximum(least, lower), lower), np.where(some, np.minimum(most, upper), upper)
