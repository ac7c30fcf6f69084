"""Inputs within a ball of the 1-norm or the 2-norm, cut to a box, and how far a linear form falls there.

    { x :  |(x - centre) / radius|_p <= 1,  lower <= x <= upper }

With w = |A| · radius, and k in [0, 1] how many radii an entry may move to where A · x falls,

    min of A · (x - centre)  =  - max of w · t,  0 <= t <= k, |t|_p <= 1
    p = 1   >=  - sum k max(w - price, 0) - price                              a fractional knapsack (Dantzig 1957)
    p = 2   >=  - sum (w t - price t² / 2) - price / 2,   t = min(k, w / price)

for every price >= 0, with equality at the best one (Lagrange): no step towards that has to be exact. Where the box cuts
nothing away these are the dual norms, - max w and - |w|_2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functions import Box
from ..region import Norm
from .plan import Array

_STEPS = 6  # towards the price, for p = 2
_ROOM = 1 << 21  # bytes of a part of the coefficients, of the few that are alive together


@dataclass(frozen=True)
class CutBall:
    """centre, radius [B, n], and down, up [B, n] in [0, 1]: how many radii each entry may fall or rise.

    A radius of 0 freezes an entry.
    """

    norm: Norm
    centre: Array
    radius: Array
    down: Array
    up: Array

    def each(self, change: Callable[[Array], Array]) -> "CutBall":
        """The same with each array changed."""
        return CutBall(self.norm, *(change(part) for part in (self.centre, self.radius, self.down, self.up)))

    def take(self, index: Any) -> "CutBall":
        """Some of the balls."""
        return self.each(lambda part: part[index])

    def astype(self, dtype: Any) -> "CutBall":
        """In another type of numbers."""
        return self.each(lambda part: part.astype(dtype, copy=False))

    def least(self, coef: Array) -> Array:
        """Lower bounds [B, M] of A · (x - centre) for rows coef [B|1, M, n], or of one ball for those of B."""
        rows, entries = coef.shape[1:]
        found = np.empty((max(len(self.centre), len(coef)), rows), coef.dtype)
        room = max(1, _ROOM // (coef.itemsize * max(1, entries)))  # rows that fit
        boxes = max(1, room // max(1, rows))
        for first in range(0, len(found), boxes):
            here = slice(first, first + boxes)
            own = coef if len(coef) == 1 else coef[here]
            parts = self._rows(here if len(self.centre) > 1 else slice(None))
            for row in range(0, rows, room):
                some = slice(row, row + room)
                found[here, some] = _fall(self.norm, *_towards(own[:, some], *parts))[0]
        return found

    def lowest(self, slope: Array) -> Array:
        """The points where slope · x is least, for slopes [B, n] or [B, M, n]."""
        if slope.ndim == 2:
            return self.lowest(slope[:, None])[:, 0]
        radius, down, up = self._rows(slice(None))
        _, share = _fall(self.norm, *_towards(slope, radius, down, up))
        return self.centre[:, None] - np.sign(slope) * radius * share

    def _rows(self, index: slice) -> tuple[Array, Array, Array]:
        return self.radius[index, None], self.down[index, None], self.up[index, None]


def cut_ball(norm: Norm, centre: Array, radius: Array, box: Box) -> CutBall:
    """The ball |(x - centre) / radius| <= 1 within a box [B, n] that holds its centre."""

    def radii(distance: Array) -> Array:
        share = np.divide(distance, radius, out=np.zeros_like(distance), where=radius > 0)
        return share.clip(0, 1)  # the ball ends at 1

    return CutBall(norm, centre, radius, radii(centre - box.lower), radii(box.upper - centre))


def stacked(balls: Sequence[CutBall]) -> CutBall | None:
    """Balls [n] of one norm as one batch [B, n]; None where there are none."""
    if not balls:
        return None
    if len({ball.norm for ball in balls}) > 1:
        raise ValueError("balls of several norms cannot be bounded together")
    parts = zip(*((ball.centre, ball.radius, ball.down, ball.up) for ball in balls), strict=True)
    return CutBall(balls[0].norm, *(np.stack(part) for part in parts))


def _towards(coef: Array, radius: Array, down: Array, up: Array) -> tuple[Array, Array]:
    """w and k of the module's text, [..., n]."""
    return abs(coef) * radius, np.where(coef > 0, down, up)


def _fall(norm: Norm, w: Array, k: Array) -> tuple[Array, Array]:
    """The bound [...] and the t [..., n] where it is taken."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        value, share = (_fall_1 if norm is Norm.L1 else _fall_2)(w, k)
        return np.maximum(value, -(w * k).sum(-1)), share


def _fall_1(w: Array, k: Array) -> tuple[Array, Array]:
    order = np.argsort(-w, axis=-1, kind="stable")
    ordered, room = np.take_along_axis(w, order, -1), np.take_along_axis(k, order, -1)
    used = room.cumsum(-1)
    full = used >= 1
    first = full.argmax(-1)[..., None]
    price = np.where(full.any(-1, keepdims=True), np.take_along_axis(ordered, first, -1), 0)
    taken = np.minimum(room, np.maximum(1 - (used - room), 0))
    value = -(room * np.maximum(ordered - price, 0)).sum(-1) - price[..., 0]
    share = np.empty_like(w)
    np.put_along_axis(share, order, taken, -1)
    return value, share


def _fall_2(w: Array, k: Array) -> tuple[Array, Array]:
    """From |w|_2, where nothing is cut away, the price falls as more and more entries reach their k."""
    squares, most = w * w, k * k
    price = np.sqrt(squares.sum(-1, keepdims=True))
    for _ in range(_STEPS):
        cut = w >= k * price
        left = 1 - np.where(cut, most, 0).sum(-1, keepdims=True)
        lower = np.sqrt(np.where(cut, 0, squares).sum(-1, keepdims=True) / left)
        price = np.where(left > 0, np.minimum(lower, price), price)
    share = np.where(w >= k * price, k, w / price)
    return -(share * (w - price * share / 2)).sum(-1) - price[..., 0] / 2, share
