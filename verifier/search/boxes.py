"""The two boxes around an input: what is proved covers the true ball, what is attacked lies inside it.

attack box [float32, ends rounded inward]  within  the ball of radius eps, cut to the range  within  proof box

eps, low and high are one number, or one per entry [*v]; an entry of radius 0 stays where it is.
"""

import numpy as np
import torch

from ..bounds import Box
from ..region import Entries
from ..spec.query import inward


def proof_box(x: np.ndarray, eps: Entries, low: Entries, high: Entries) -> Box:
    """The ball in float64 around x [B, *v] float32, every end rounded outward, within [low, high], where x lies.

    eps counts as any number that rounds to it: 0.1 and the float next to 0.1 are both covered.
    """
    centre = x.astype(np.float64)
    radius = np.where(np.equal(eps, 0), 0.0, np.nextafter(eps, np.inf))
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
