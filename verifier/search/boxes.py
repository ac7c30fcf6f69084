"""The two boxes around an input: what is proved covers the true ball, what is attacked is what a runtime can be fed.

attack box [in the runtime's float32 or float64, ends rounded inward]  within  proof box
the ball of radius eps around the given numbers, cut to the range      within  proof box

The attack box lies inside the ball, but for entries whose part of it holds no number of the runtime's type: these stay
at the nearest one, which is what the runtime is fed. eps, low and high are one number, or one per entry [n]; an entry
of radius 0 stays where it is. A ball of another norm lies within that of l∞, and its boxes are those, with a `CutBall`
for each that says what is left of it.
"""

from math import fsum

import numpy as np

from ..engine.ball import CutBall, cut_ball
from ..functions import Box
from ..region import Entries, Norm
from ..spec.query import inward

SINGLE = np.dtype(np.float32)
_SHARE = 1e-6  # of a ball, for all entries that lie outside it


def proof_box(x: np.ndarray, eps: Entries, low: Entries, high: Entries, dtype: np.dtype = SINGLE) -> Box:
    """The ball in float64 around x [B, n], every end rounded outward, within [low, high], where x lies; and with it
    the attack box.

    eps counts as any number that rounds to it: 0.1 and the float next to 0.1 are both covered.
    """
    centre = x.astype(np.float64)
    radius = _outer(eps)
    lower = np.maximum(np.nextafter(centre - radius, -np.inf), low)
    upper = np.minimum(np.nextafter(centre + radius, np.inf), high)
    fed = attack_box(x, eps, low, high, dtype)
    return Box(np.minimum(lower, fed.lower), np.maximum(upper, fed.upper))


def attack_box(x: np.ndarray, eps: Entries, low: Entries, high: Entries, dtype: np.dtype = SINGLE) -> Box:
    """The ball in `dtype` around x [B, n], every end rounded inward; the number next to x where it holds none."""
    centre = x.astype(np.float64)
    radius = np.nextafter(eps, 0.0)
    least = np.maximum(np.nextafter(centre - radius, np.inf), low)
    most = np.minimum(np.nextafter(centre + radius, -np.inf), high)
    if dtype == SINGLE:
        least, most = inward(least, most)
    nearest = x.astype(dtype)
    none = least > most
    least, most = np.where(none, nearest, least), np.where(none, nearest, most)
    kept = nearest == centre  # x itself belongs to it
    least, most = np.where(kept, np.minimum(least, nearest), least), np.where(kept, np.maximum(most, nearest), most)
    return Box(least.astype(dtype), most.astype(dtype))


def fed(x: np.ndarray, box: Box) -> np.ndarray:
    """What a runtime is fed for x [B, n], in the type of its attack box: the nearest numbers there."""
    lower, upper = box
    return np.clip(x.astype(lower.dtype), lower, upper)


def proof_ball(x: np.ndarray, eps: Entries, norm: Norm, box: Box, attacked: Box) -> CutBall | None:
    """The ball in float64 of which `box` is the proof box, and with it what a runtime is fed of its attack box; None
    where the box is all of it.

    Entries that are fed from outside the ball get radii so large that all together use up `_SHARE` of it.
    """
    if norm is Norm.LINF:
        return None
    centre, radius = x.astype(np.float64), np.broadcast_to(_outer(eps), x.shape)
    move = np.abs(fed(x, attacked) - centre)
    beyond = move > radius
    shares = np.divide(move, radius, out=np.zeros(x.shape), where=(move > 0) & ~beyond)
    size = shares.sum(1) if norm is Norm.L1 else np.sqrt((shares * shares).sum(1))
    room = np.maximum(1.0, size * (1 + _SHARE)) * (1 + 2 * _SHARE * beyond.any())
    reach = np.maximum(centre - box.lower, box.upper - centre) * (max(1, beyond.sum()) / _SHARE)
    radius = np.where(beyond, reach, radius * room[:, None])
    return cut_ball(norm, centre, radius, box)


def attack_ball(x: np.ndarray, eps: Entries, norm: Norm, box: Box) -> CutBall | None:
    """The ball of which `box` is the attack box, in its type, up to rounding (`drawn_in`); None where that is all."""
    if norm is Norm.LINF:
        return None
    centre = fed(x, box)
    radius = np.minimum(np.nextafter(eps, 0.0), 1e15)  # float32 can square it
    radii = np.broadcast_to(radius, x.shape).astype(centre.dtype)
    return cut_ball(norm, centre, radii, box)


def _outer(eps: Entries) -> np.ndarray:
    return np.where(np.equal(eps, 0), 0.0, np.nextafter(eps, np.inf))


def drawn_in(point: np.ndarray, x: np.ndarray, eps: Entries, norm: Norm, box: Box) -> np.ndarray | None:
    """A point [n] near `point`, in the type of the attack box [n] around x, inside it and inside the ball; None where
    rounding leads out of it. Entries that are fed from outside the ball take nothing of it."""
    lower, upper = box
    inside = np.clip(point.astype(lower.dtype), lower, upper)
    centre = x.astype(np.float64)
    centre = np.where((lower == upper) & (np.abs(lower - centre) > eps), lower, centre)
    if norm is Norm.LINF or in_ball(inside, centre, eps, norm):
        return inside
    move = inside - centre
    total = _size(move, eps, norm)
    move *= (1 - 1e-9) / (total if norm is Norm.L1 else np.sqrt(total))
    inside = (centre + move).astype(lower.dtype)
    outside = np.abs(inside - centre) > np.abs(move)  # rounding may only lead towards x
    inside = np.clip(np.where(outside, np.nextafter(inside, fed(x, box)), inside), lower, upper)
    return inside if in_ball(inside, centre, eps, norm) else None


def in_ball(point: np.ndarray, x: np.ndarray, eps: Entries, norm: Norm) -> bool:
    """Whether points lie inside the ball of every number that rounds to eps, beyond doubt.

    `_size` errs by less than 1e-14 of itself: few roundings of each term, one of their sum.
    """
    return _size(point.astype(np.float64) - x, eps, norm) <= 1 - 1e-12


def _size(move: np.ndarray, eps: Entries, norm: Norm) -> float:
    """The sum of the entries' shares of their radii, for p = 2 of their squares."""
    radius = np.broadcast_to(np.nextafter(eps, 0.0), move.shape)
    with np.errstate(divide="ignore", over="ignore"):
        shares = np.divide(np.abs(move), radius, out=np.zeros(move.shape), where=move != 0)
        shares = np.minimum(shares, 1e100)  # so that no sum overflows
        return fsum((shares if norm is Norm.L1 else shares * shares).flat)
