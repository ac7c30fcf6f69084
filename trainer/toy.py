"""The two losses of one weight in Figure 3 of Balauca et al. (2025), and their Gaussian smoothing in closed form.

A piecewise linear function with jumps is a sum of lines, hinges and steps, and smoothing is linear: with
W ~ N(w, sigma^2), z = (w - p) / sigma, Phi and phi the normal distribution and density,

    E max(W - p, 0) = (w - p) Phi(z) + sigma phi(z),      E 1[W > p] = Phi(z).
"""

from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor


class PiecewiseLinear(NamedTuple):
    """f(w) = offset + slope w + sum weight max(w - place, 0) + sum height 1[w > place]."""

    offset: float
    slope: float
    hinges: tuple[tuple[float, float], ...] = ()  # place, weight
    jumps: tuple[tuple[float, float], ...] = ()  # place, height

    def __call__(self, w: Tensor) -> Tensor:
        value = self.offset + self.slope * w
        for place, weight in self.hinges:
            value = value + weight * (w - place).clamp(min=0)
        for place, height in self.jumps:
            value = value + height * (w > place)
        return value

    def smoothed(self, w: Tensor, sigma: float) -> Tensor:
        """E f(W), W ~ N(w, sigma^2), sigma > 0."""
        value = self.offset + self.slope * w
        for place, weight in self.hinges:
            z = (w - place) / sigma
            density = torch.exp(-(z**2) / 2) / sqrt(2 * pi)
            value = value + weight * ((w - place) * torch.special.ndtr(z) + sigma * density)
        for place, height in self.jumps:
            value = value + height * torch.special.ndtr((w - place) / sigma)
        return value


def through(*points: tuple[float, float]) -> PiecewiseLinear:
    """The continuous function through `points` (w, value), w increasing; its outer pieces go on for ever."""
    slopes = [(v2 - v1) / (w2 - w1) for (w1, v1), (w2, v2) in zip(points, points[1:], strict=False)]
    hinges = tuple((w, after - before) for (w, _), before, after in zip(points[1:], slopes, slopes[1:], strict=False))
    return PiecewiseLinear(points[0][1] - slopes[0] * points[0][0], slopes[0], hinges)


TOYS: dict[str, PiecewiseLinear] = {
    # DeepPoly's lower bound 1 + 1[w > 0] (w - 1) of y = ReLU(x + w) + 1, x in [-1, 1].
    "discontinuous": PiecewiseLinear(1.0, 0.0, hinges=((0.0, 1.0),), jumps=((0.0, -1.0),)),
    # The paper draws this one without a formula. As there, a bad minimum between -1.5 and 0 stays at sigma = 0.25, is
    # gone at 0.5, and at 1 the best weight lies far from that of the function.
    "sensitive": through((-3.0, 3.0), (-1.0, 1.0), (-0.5, 1.4), (0.5, 0.0), (1.5, 4.0)),
}
