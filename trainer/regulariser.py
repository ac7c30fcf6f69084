"""The warm-up regulariser of Shi et al. (2021, "Fast certified robust training with short warmup"), from ReLU boxes.

With box centres c and half-widths r before each ReLU i, means over the batch and all its neurons, tol = 1/2:

    tightness  T_i = relu(tol - r_0 / r_i) / tol                          r_0: half-width of the (normalised) input
    balance    Q_i = [relu(tol - rho(m+/-m-)) + relu(tol - rho(v+/v-))] / tol,   rho(a) = min(a, 1/a)
    R = sum_i (T_i + Q_i) / number of ReLUs

m+-: mean of c over the always active / always inactive neurons (divided by the count of all), v+-: their sum of
(c - mean c)^2. Q_i is dropped where no neuron is always inactive (it would be no number, and its slope neither).
R is a function of nine sums per ReLU; `statistics` are those sums, so that the chunks of a batch can be added up
before `value` is taken.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from glscert.verifier.bounds import Box

TOLERANCE = 0.5
SMALL = 1e-12


def statistics(entering: Box, pre: Mapping[str, Box]) -> Tensor:
    """[1 + ReLUs, 9] float64 sums over a chunk: count, r, c; c, c², number of the active and of the inactive neurons.

    `entering` is the box at the first linear layer, of which only count and r are taken, the rest being 0; `pre` the
    boxes before the ReLUs; gradients flow.
    """
    return torch.stack([_width(entering), *map(_sums, pre.values())])


def _width(box: Box) -> Tensor:
    radius = ((box.upper - box.lower).sum(dtype=torch.float64) / 2)[None]
    count = radius.new_full((1,), box.lower.numel())
    return torch.cat([count, radius, radius.new_zeros(7)])


def _sums(box: Box) -> Tensor:
    lower, upper = box.lower.flatten(), box.upper.flatten()
    centre = (upper + lower).double() / 2  # float64: v+- below is a difference of these sums
    count = torch.full((), lower.numel(), dtype=centre.dtype, device=centre.device)
    radius = ((upper - lower) / 2).sum(dtype=centre.dtype)
    sums = [count, radius, centre.sum()]
    for stable in ((lower > 0).double(), (upper < 0).double()):
        chosen = centre * stable
        sums += [chosen.sum(), (centre * chosen).sum(), stable.sum()]
    return torch.stack(sums)


def value(sums: Tensor) -> Tensor:
    """R, float64 scalar, from the statistics [1 + ReLUs, 9] of a whole batch."""
    width = sums[:, 1] / sums[:, 0]
    tightness = torch.relu(TOLERANCE - width[0] / width[1:].clamp(min=SMALL)) / TOLERANCE
    count, _, centre, active, active2, actives, inactive, inactive2, inactives = sums[1:].unbind(1)
    mean = centre / count

    def spread(square: Tensor, linear: Tensor, number: Tensor) -> Tensor:  # sum of (c - mean)² over the chosen neurons
        return (square - 2 * mean * linear + mean**2 * number).clamp(min=0)

    some = inactives > 0  # ratios elsewhere are taken to 1 before dividing, so that no slope is 0 times infinity
    means = active / torch.where(some, -inactive, 1.0)
    below = spread(inactive2, inactive, inactives).clamp(min=SMALL)  # 0 where all their centres are the mean
    spreads = spread(active2, active, actives) / torch.where(some, below, 1.0)
    balance = (torch.relu(TOLERANCE - _rho(means)) + torch.relu(TOLERANCE - _rho(spreads))) / TOLERANCE
    return (tightness.sum() + torch.where(some, balance, 0.0).sum()) / len(tightness)


def _rho(ratio: Tensor) -> Tensor:
    return torch.minimum(ratio, 1 / ratio.clamp(min=SMALL))
