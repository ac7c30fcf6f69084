"""What α- and β-CROWN are free to choose, and what there is to see of a bound."""

from typing import Any, NamedTuple

import numpy as np

from ..functions import Box
from .plan import Array


class Cuts(NamedTuple):
    """Which ends of neurons' boxes splits moved inwards: bool [B, n] each."""

    lower: Array
    upper: Array


class Dual(NamedTuple):
    """Slopes and split multipliers, each [B, M, n], by name of the nonlinearity's input. A multiplier > 0 belongs to
    the upper end of the neuron's box, one < 0 to the lower.

    weights [B, M] >= 0, where given, sum the rows to one before it is bounded: a positive sum shows that some row is
    positive at every point. Slopes and multipliers are then [B, 1, n].
    """

    slopes: dict[str, Array]
    multipliers: dict[str, Array]
    weights: Array | None = None

    def take(self, index: Any) -> "Dual":
        """Of some of the boxes."""
        slopes = {name: value[index] for name, value in self.slopes.items()}
        multipliers = {name: value[index] for name, value in self.multipliers.items()}
        return Dual(slopes, multipliers, None if self.weights is None else self.weights[index])


class Look(NamedTuple):
    """met [B, M, n]: by name of the nonlinearity's input, the coefficients that met its lines; corner [B, M, inputs]:
    where the bound is taken."""

    met: dict[str, Array]
    corner: Array


class DualBounds(NamedTuple):
    """bound [B, M], the slopes and multipliers that gave it, and where that was asked for how it came about."""

    bound: Array
    dual: Dual
    look: Look | None = None

    def shown(self) -> Look:
        if self.look is None:
            raise ValueError("the bound was taken without a look at it")
        return self.look


def held_ends(multiplier: Array, box: Box, cut: Cuts) -> Array:
    """The ends of boxes that multipliers [B, M, n] belong to. Where one is 0, an end that was cut, of two the middle:
    what the gradient is to see."""
    lower, upper = box.lower[:, None], box.upper[:, None]
    low, high = cut.lower[:, None], cut.upper[:, None]
    resting = np.where(high, np.where(low, (lower + upper) / 2, upper), np.where(low, lower, 0))
    return np.where(multiplier > 0, upper, np.where(multiplier < 0, lower, resting))


def held(multiplier: Array, box: Box, cut: Cuts) -> Array:
    """β · (the end it belongs to), summed [B, M]."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray((multiplier * held_ends(multiplier, box, cut)).sum(2))
