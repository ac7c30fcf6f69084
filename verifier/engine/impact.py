"""How much of a bound each neuron's relaxation gives away."""

from collections.abc import Mapping

import numpy as np

from ..functions import Box, Function, Lines
from .dual_values import Dual
from .engine import Engine
from .plan import Array
from .substitution import relax

_NARROW = 1e-4  # boxes of smooth nonlinearities, relative to their place, that are not divided further
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)  # where smooth nonlinearities are compared with their lines


def split_impact(engine: Engine, pre: Mapping[str, Box], dual: Dual, met: Mapping[str, Array]) -> dict[str, Array]:
    """How much of the bound each neuron's relaxation gives away, [B, n] by name; -inf where nothing is to be split.

    The coefficient that met a line times the line's distance from the function is the slack a split removes (the
    bound-impact score of Bunel et al. 2020, BaBSR).
    """
    impact = {}
    with np.errstate(invalid="ignore", over="ignore"):
        for name, line in relax(engine, pre, dual.slopes).items():
            function = engine.bends[name].function
            below, above = _slack(function, pre[name], line)
            score = np.where(met[name] > 0, met[name] * below, -met[name] * above).sum(1)
            impact[name] = np.where(_divisible(function, pre[name]), score, -np.inf)
    return impact


def _slack(function: Function, box: Box, line: Lines) -> tuple[Array, Array]:
    """How far from f the lower and the upper line lie at most [B, S, n]; of smooth ones, at a few points."""
    lower, upper = box.lower[:, None], box.upper[:, None]
    if function.kinked:
        gap = np.maximum(np.minimum((1 - line.lower_slope) * upper, -line.lower_slope * lower), 0)
        least = 1e-3 * np.minimum(upper, -lower)  # a slope of 0 or 1 is tight on one side only
        return gap + least, line.upper_start
    start = 0.0 if line.lower_start is None else line.lower_start
    below, above = np.zeros_like(line.lower_slope), np.zeros_like(line.upper_slope)
    for share in _PLACES:
        point = lower + share * (upper - lower)
        f = function.forward(point)
        below = np.maximum(below, f - line.lower_slope * point - start)
        above = np.maximum(above, line.upper_slope * point + line.upper_start - f)
    return below, above


def _divisible(function: Function, box: Box) -> Array:
    """Unstable, and where only ever smaller boxes help, not yet as narrow as float32 makes worth while."""
    unstable = function.unstable(box)
    if function.kinked:
        return np.asarray(unstable)
    size = 1 + np.maximum(abs(box.lower), abs(box.upper))
    return np.asarray(unstable & (box.upper - box.lower > _NARROW * size))
