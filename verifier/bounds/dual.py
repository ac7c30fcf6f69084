"""What α- and β-CROWN are free to choose, and what there is to see of a bound."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..ops import Box


class Cuts(NamedTuple):
    """Which ends of neurons' boxes splits moved inwards: bool [B, *v] each."""

    lower: Tensor
    upper: Tensor


class Dual(NamedTuple):
    """Slopes and split multipliers, each [B, M, *v], by name of the nonlinearity's input. A multiplier > 0 belongs to
    the upper end of the neuron's box, one < 0 to the lower.

    weights [B, M] >= 0, where given, sum the rows to one before it is bounded: a positive sum shows that some row is
    positive at every point. Slopes and multipliers are then [B, 1, *v].
    """

    slopes: dict[str, Tensor]
    multipliers: dict[str, Tensor]
    weights: Tensor | None = None


class Look(NamedTuple):
    """met [B, M, *v]: by name of the nonlinearity's input, the coefficients that met its lines; corner [B, M, *v]:
    where the bound is taken."""

    met: dict[str, Tensor]
    corner: Tensor


def held(multiplier: Tensor, box: Box, cut: Cuts) -> Tensor:
    """β · (the end it belongs to) [B, M]. Where β = 0 the gradient takes an end that was cut, of two the middle."""
    lower, upper = box.lower.unsqueeze(1), box.upper.unsqueeze(1)
    low, high = cut.lower.unsqueeze(1), cut.upper.unsqueeze(1)
    resting = torch.where(high, torch.where(low, (lower + upper) / 2, upper), torch.where(low, lower, 0))
    end = torch.where(multiplier > 0, upper, torch.where(multiplier < 0, lower, resting))
    return (multiplier * end).flatten(2).sum(2)
