"""The two boxes around an input: what is proved covers the true ball, what is attacked lies inside it.

attack box [float32, ends rounded inward]  within  the ball of radius eps, cut to the range  within  proof box

eps, low and high are one number, or one per entry [*v]; an entry of radius 0 stays where it is. A ball of another norm
lies within that of l∞, and its boxes are those, with a `CutBall` for each that says what is left of it.
"""

from math import fsum

import numpy as np
import torch

from ..bounds import Box
from ..bounds.ball import CutBall, cut_ball
from ..region import Entries, Norm
from ..spec.query import inward


def proof_box(x: np.ndarray, eps: Entries, low: Entries, high: Entries) -> Box:
    """The ball in float64 around x [B, *v] float32, every end rounded outward, within [low, high], where x lies.

    eps counts as any number that rounds to it: 0.1 and the float next to 0.1 are both covered.
    """
    centre = x.astype(np.float64)
    radius = _outer(eps)
    lower = np.maximum(np.nextafter(centre - radius, -np.inf), low)
    upper = np.minimum(np.nextafter(centre + radius, np.inf), high)
    return Box(torch.from_numpy(lower), torch.from_numpy(upper))


def attack_box(x: np.ndarray, eps: Entries, low: Entries, high: Entries) -> Box:
    """The ball in float32 around x [B, *v] float32, every end rounded inward; x itself always belongs to it."""
    centre = x.astype(np.float64)
    radius = np.nextafter(eps, 0.0)
    lower = np.maximum(np.nextafter(centre - radius, np.inf), low)
    upper = np.minimum(np.nextafter(centre + radius, -np.inf), high)
    least, most = inward(lower, upper)
    return Box(torch.from_numpy(np.minimum(least, x)), torch.from_numpy(np.maximum(most, x)))


def proof_ball(x: np.ndarray, eps: Entries, norm: Norm, box: Box) -> CutBall | None:
    """The ball in float64 of which `box` is the proof box; None where the box is all of it."""
    return _ball(x.astype(np.float64), _outer(eps), norm, box)


def attack_ball(x: np.ndarray, eps: Entries, norm: Norm, box: Box) -> CutBall | None:
    """The ball in float32 of which `box` is the attack box, up to rounding (`drawn_in`); None where that is all."""
    return _ball(x, np.minimum(np.nextafter(eps, 0.0), 1e15), norm, box)  # float32 can square it


def _outer(eps: Entries) -> np.ndarray:
    return np.where(np.equal(eps, 0), 0.0, np.nextafter(eps, np.inf))


def _ball(x: np.ndarray, radius: np.ndarray, norm: Norm, box: Box) -> CutBall | None:
    if norm is Norm.LINF:
        return None
    radii = np.broadcast_to(radius, x.shape).astype(x.dtype)
    return cut_ball(norm, torch.from_numpy(x), torch.from_numpy(radii), box)


def drawn_in(point: np.ndarray, x: np.ndarray, eps: Entries, norm: Norm, box: Box) -> np.ndarray | None:
    """A float32 point [*v] near `point`, inside the attack box [*v] around x and inside the ball; None where rounding
    leads out of it."""
    lower, upper = (end.numpy() for end in box)
    inside = np.clip(point.astype(np.float32), lower, upper)
    if norm is Norm.LINF or in_ball(inside, x, eps, norm):
        return inside
    centre = x.astype(np.float64)
    move = inside - centre
    total = _size(move, eps, norm)
    move *= (1 - 1e-9) / (total if norm is Norm.L1 else np.sqrt(total))
    inside = (centre + move).astype(np.float32)
    outside = np.abs(inside - centre) > np.abs(move)  # rounding to float32 may only lead towards x
    inside = np.clip(np.where(outside, np.nextafter(inside, x), inside), lower, upper)
    return inside if in_ball(inside, x, eps, norm) else None


def in_ball(point: np.ndarray, x: np.ndarray, eps: Entries, norm: Norm) -> bool:
    """Whether float32 points lie inside the ball of every number that rounds to eps, beyond doubt.

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
