"""Nonlinear functions of single entries: value, image of an interval, two lines.

Lines of a convex piecewise linear function may have any slope: the intercept is taken at the corners. Those of an
S-shaped one have the smaller of the slopes at both ends, through the ends (Singh et al., DeepPoly, 2019).
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from .rounding import UNIT

Array = np.ndarray
STEPS = 255  # of a slope's byte
_LIBRARY = 1e-14  # relative error of numpy's functions, assumed
_SLIGHT = 1e-300


class Lines(NamedTuple):
    """low_slope z + low <= f(z) <= high_slope z + high on [l, u]; arrays of their shape."""

    low_slope: Array
    low: Array
    high_slope: Array
    high: Array


class Curve(Protocol):
    """exact: a runtime's value is f's, but for what is flushed to 0. error: what its value may be off, in units of the
    size of f's, else in numbers of its own (`absolute`), for float32."""

    sloped: bool  # its lower slope may be chosen

    def value(self, z: Array) -> Array: ...
    def image(self, lower: Array, upper: Array) -> tuple[Array, Array]: ...
    def lines(self, lower: Array, upper: Array, chosen: Array | None) -> Lines:
        """chosen: 0 to 255, -1 for the default."""

    def unstable(self, lower: Array, upper: Array) -> Array:
        """Where the function is not a line over [l, u]."""

    def off(self, unit: float, upper: Array) -> Array | float:
        """What rounding of this function may add in a runtime; upper: the largest size of f's value."""


@dataclass(frozen=True)
class Bent:
    """max(z, slope z), 0 <= slope < 1: Relu, LeakyRelu."""

    slope: float = 0.0
    sloped = True

    def value(self, z: Array) -> Array:
        return np.maximum(z, z.dtype.type(self.slope) * z)

    def image(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = self.value(lower), self.value(upper)
        wide = 4 * UNIT if self.slope else 0.0
        return low - wide * np.abs(low), high + wide * np.abs(high)

    def lines(self, lower: Array, upper: Array, chosen: Array | None) -> Lines:
        off, on = upper <= 0, lower >= 0
        unstable = ~(off | on)
        low_slope = np.where(off, self.slope, np.where(on | (upper > -lower), 1.0, self.slope))
        if chosen is not None:
            given = np.minimum(1.0, self.slope + (1 - self.slope) * (chosen / STEPS))
            low_slope = np.where(unstable & (chosen >= 0), np.maximum(given, self.slope), low_slope)
        width = np.where(unstable, upper - lower, 1.0)
        at_low, at_high = self.slope * lower, upper
        high_slope = np.where(unstable, np.clip((at_high - at_low) / width, self.slope, 1.0), low_slope)
        above = np.maximum(at_low - high_slope * lower, at_high - high_slope * upper)
        sizes = np.abs(lower) + np.abs(upper)
        high = np.where(unstable, np.maximum(above, 0.0) + 8 * UNIT * sizes + _SLIGHT, 0.0)
        return Lines(low_slope, np.zeros_like(high), high_slope, high)

    def unstable(self, lower: Array, upper: Array) -> Array:
        return (lower < 0) & (upper > 0)

    def off(self, unit: float, upper: Array) -> Array | float:
        return 4 * unit * upper if self.slope else 0.0


@dataclass(frozen=True)
class Rising:
    """Sigmoid and Tanh: rising, S-shaped, steepest at 0."""

    tanh: bool
    sloped = False

    def value(self, z: Array) -> Array:
        if self.tanh:
            return np.tanh(z)
        return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))))

    def _slope(self, z: Array) -> Array:
        """A little less than f' there."""
        small = np.exp(-np.abs(z) * (2 if self.tanh else 1))
        return (4 if self.tanh else 1) * small / (1 + small) ** 2 * (1 - 1e-12)

    def image(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = self.value(lower), self.value(upper)
        return low - _LIBRARY * np.abs(low) - _SLIGHT, high + _LIBRARY * np.abs(high) + _SLIGHT

    def lines(self, lower: Array, upper: Array, chosen: Array | None) -> Lines:
        slope = np.minimum(self._slope(lower), self._slope(upper))
        low, high = self.image(lower, upper)
        sizes = 8 * UNIT * (slope * (np.abs(lower) + np.abs(upper)) + np.abs(low) + np.abs(high)) + _SLIGHT
        return Lines(slope, low - slope * lower - sizes, slope, high - slope * upper + sizes)

    def unstable(self, lower: Array, upper: Array) -> Array:
        return lower < upper

    def off(self, unit: float, upper: Array) -> Array | float:
        # Assumed: a runtime's Sigmoid and Tanh are off by at most 32 u of 2 + |f|. onnxruntime's are by 5 u at most.
        return 32 * unit * (2 + upper)


@dataclass(frozen=True)
class Clamped:
    """min(max(z, low), high): Clip, with infinite ends where it has none."""

    floor: float
    ceiling: float
    sloped = False

    def value(self, z: Array) -> Array:
        return np.minimum(np.maximum(z, z.dtype.type(self.floor)), z.dtype.type(self.ceiling))

    def image(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self.value(lower), self.value(upper)

    def lines(self, lower: Array, upper: Array, chosen: Array | None) -> Lines:
        a, b = np.clip(self.floor, lower, upper), np.clip(self.ceiling, lower, upper)
        ends = self.value(lower), self.value(upper)
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.clip(np.nan_to_num((ends[1] - ends[0]) / (upper - a)), 0, 1)  # from the lower corner to the end
            fall = np.clip(np.nan_to_num((ends[1] - ends[0]) / (b - lower)), 0, 1)
        bend = (lower < self.floor) & (self.ceiling >= upper)  # as a Relu: the better of both slopes
        low_slope = np.where(bend, np.where(upper - a > a - lower, 1.0, 0.0), rise)
        concave = (lower >= self.floor) & (upper > self.ceiling)
        high_slope = np.where(concave, np.where(b - lower > upper - b, 1.0, 0.0), fall)
        corners = [lower, a, b, upper]
        values = [self.value(corner) for corner in corners]
        sizes = 8 * UNIT * sum(np.abs(corner) for corner in corners) + _SLIGHT
        pairs = list(zip(corners, values, strict=True))
        low = np.minimum.reduce([value - low_slope * corner for corner, value in pairs]) - sizes
        high = np.maximum.reduce([value - high_slope * corner for corner, value in pairs]) + sizes
        return Lines(low_slope, low, high_slope, high)

    def unstable(self, lower: Array, upper: Array) -> Array:
        crossed = [(lower < end) & (upper > end) for end in (self.floor, self.ceiling)]
        return crossed[0] | crossed[1]

    def off(self, unit: float, upper: Array) -> Array | float:
        return 0.0


@dataclass(frozen=True)
class Absolute:
    """|z|."""

    sloped = False

    def value(self, z: Array) -> Array:
        return np.abs(z)

    def image(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return np.maximum(0.0, np.maximum(lower, -upper)), np.maximum(-lower, upper)

    def lines(self, lower: Array, upper: Array, chosen: Array | None) -> Lines:
        low_slope = np.where(lower >= 0, 1.0, np.where(upper <= 0, -1.0, np.where(upper > -lower, 1.0, -1.0)))
        width = upper - lower
        with np.errstate(divide="ignore", invalid="ignore"):
            chord = np.clip(np.nan_to_num((np.abs(upper) - np.abs(lower)) / width), -1, 1)
        high_slope = np.where((lower >= 0) | (upper <= 0), low_slope, chord)
        high = np.maximum(np.abs(lower) - high_slope * lower, np.abs(upper) - high_slope * upper)
        high = high + 8 * UNIT * (np.abs(lower) + np.abs(upper)) + _SLIGHT
        return Lines(low_slope, np.zeros_like(high), high_slope, high)

    def unstable(self, lower: Array, upper: Array) -> Array:
        return (lower < 0) & (upper > 0)

    def off(self, unit: float, upper: Array) -> Array | float:
        return 0.0


@dataclass(frozen=True, eq=False)
class Unary:
    """A step: f of every entry."""

    input: int
    output: int
    curve: Curve


@dataclass(frozen=True, eq=False)
class Greatest:
    """A step: the greatest of some entries each. groups [n, k]: their places, the input's size where there is none."""

    input: int
    output: int
    groups: Array

    def value(self, z: Array) -> Array:
        return self.padded(z, -np.inf)[:, self.groups].max(2)

    @staticmethod
    def padded(z: Array, end: float) -> Array:
        return np.concatenate([z, np.full((len(z), 1), end, z.dtype)], 1)
