"""Zonotopes forwards, for networks of few inputs: every value as an affine function of the input and a deviation,

    v  in  c + G [-1, 1]^g + [-d, d]

G one generator for each free input entry, d of each entry by itself. A nonlinearity f on a box keeps the generators
times the slope m of its upper line; what is left of f(z) - m z goes into c and d (the hybrid of Mirman et al. 2018
with the lines of DeepZ, Singh et al. 2018). It costs a forward pass for each generator, where back-substitution costs
one for every neuron.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..functions import Box, Lines
from .plan import Array
from .steps import Affine, Bend


class Zonotope(NamedTuple):
    """centre and deviation [B, n], generators [B, g, n]."""

    centre: Array
    generators: Array
    deviation: Array

    def box(self) -> Box:
        width = abs(self.generators).sum(1) + self.deviation
        return Box(self.centre - width, self.centre + width)

    def reached(self) -> Array:
        """The largest magnitude that an entry may have, before it is rounded [B, n]."""
        found: Array = abs(self.centre) + abs(self.generators).sum(1) + self.deviation
        return found


def free(box: Box) -> Array:
    """Numbers of the entries that are free in some box [B, n]."""
    return np.flatnonzero(((box.upper - box.lower) / 2 > 0).any(0))


def input_zonotope(box: Box) -> Zonotope:
    """One generator for each entry that is free in some box [B, n]."""
    radius, own = (box.upper - box.lower) / 2, free(box)
    generators = np.zeros((len(radius), len(own), radius.shape[1]), radius.dtype)
    generators[:, np.arange(len(own)), own] = radius[:, own]
    return Zonotope((box.lower + box.upper) / 2, generators, np.zeros_like(radius))


def through(
    step: Affine | Bend, values: Mapping[int, Zonotope], box: Box | None = None, lines: Lines | None = None
) -> Zonotope:
    """The zonotope of a step's output; `box` [B, n] is what is known of a nonlinearity's input, `lines` those there."""
    if isinstance(step, Affine):
        return _affine(step, [values[number] for number in step.inputs])
    if box is None:
        raise ValueError("a nonlinearity needs the box of its input")
    return _bent(step, values[step.into], box, lines or step.function.lines(box, None))


def _affine(step: Affine, inputs: list[Zonotope]) -> Zonotope:
    batch, count = inputs[0].generators.shape[:2]
    moved = step.linear(*(value.generators.reshape(batch * count, -1) for value in inputs))
    return Zonotope(
        step.forward(*(value.centre for value in inputs)),
        moved.reshape(batch, count, -1),
        step.spread(*(value.deviation for value in inputs)),
    )


def _bent(bend: Bend, value: Zonotope, box: Box, lines: Lines) -> Zonotope:
    if bend.function.kinked:
        lines = bend.function.lines(box, lines.upper_slope)  # with a lower line parallel to the upper
    slope, least = lines.upper_slope[:, 0], (lines.lower_slope - lines.upper_slope)[:, 0]
    below = np.minimum(least * box.lower, least * box.upper)
    if lines.lower_start is not None:
        below = below + lines.lower_start[:, 0]
    above = lines.upper_start[:, 0]
    return Zonotope(
        slope * value.centre + (above + below) / 2,
        slope[:, None] * value.generators,
        abs(slope) * value.deviation + (above - below) / 2,
    )
