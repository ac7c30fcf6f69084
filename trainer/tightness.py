"""How tight a relaxation is on a given network: the area under its certified accuracy over the radius eps.

    tightness = integral_0^inf acc(eps) d eps = mean radius that the relaxation certifies        (acc as a fraction)

the CR-AUC of Jovanovic et al. (2022, "On the paradox of certified training"), which Balauca et al. (2025, Sec. 2.2 and
Fig. 1) use. Their numbers (IBP 0.55, DeepPoly 2.93) have the size of accuracies in per cent times eps in raw pixels;
that is what `area` gives, 100 times the mean radius. Trapezoids between the radii of a grid from 0 up to where nothing
is certified any more, which lies elsewhere for each relaxation.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import torch
from torch import Tensor

from glscert.verifier.bounds.device import exact_float32

from .evaluation import Params
from .objective import Objective, proved

LARGEST = 1.0  # a ball of this radius is the whole range of a pixel
Tick = Callable[[float], None]


class Curve(NamedTuple):
    """The share of images that `relaxation` certifies at each of `radii`, and the area below in per cent times eps."""

    relaxation: str
    radii: tuple[float, ...]
    certified: tuple[float, ...]

    @property
    def area(self) -> float:
        return area(self.radii, self.certified)


def area(radii: Sequence[float], certified: Sequence[float]) -> float:
    """100 times the integral of the shares `certified` over `radii`, by trapezoids."""
    pieces = zip(radii, radii[1:], certified, certified[1:], strict=False)
    return sum(100 * (right - left) * (high + low) / 2 for left, right, high, low in pieces)


def grid(largest: float, points: int) -> tuple[float, ...]:
    """`points` radii from 0 to `largest`, evenly spaced."""
    return tuple(largest * i / (points - 1) for i in range(points))


class Certifier:
    """Counts images x [N, *v] with labels y [N] that are certified; threads of `pool` share chunks of `chunk` images.

    Images that the network gets wrong are left out once: no sound relaxation certifies them at any radius.
    """

    def __init__(
        self, objective: Objective, params: Params, x: Tensor, y: Tensor, *, chunk: int, pool: Executor
    ) -> None:
        self.objective, self.params, self.pool, self.chunk = objective, params, pool, chunk
        self.images = len(x)
        with torch.no_grad(), exact_float32(x.device):
            right = torch.cat([objective.scores(params, part).argmax(1) for part in x.split(chunk)]) == y
        self.x, self.y = x[right], y[right]

    def share(self, relaxation: str, eps: float) -> float:
        """The certified accuracy at eps, between 0 and 1."""

        def count(chunk: tuple[Tensor, Tensor]) -> int:
            with torch.no_grad():
                return int(proved(self.objective.bounds(self.params, *chunk, eps, relaxation, every_box=False)))

        if len(self.x) == 0:
            return 0.0
        chunks = zip(self.x.split(self.chunk), self.y.split(self.chunk), strict=True)
        with exact_float32(self.x.device):
            return sum(self.pool.map(count, chunks)) / self.images

    def reach(self, relaxation: str, start: float) -> float:
        """The first of `start`, twice that, … up to 1, at which the relaxation certifies nothing."""
        eps = min(start, LARGEST)
        while eps < LARGEST and self.share(relaxation, eps) > 0:
            eps = min(2 * eps, LARGEST)
        return eps

    def curve(self, relaxation: str, radii: Sequence[float], tick: Tick = lambda amount: None) -> Curve:
        """Certified accuracy at each of `radii`; `tick` hears of every one."""
        shares = []
        for eps in radii:
            shares.append(self.share(relaxation, eps))
            tick(1)
        return Curve(relaxation, tuple(radii), tuple(shares))
