"""What halving an input's width would gain a row, to first order.

    sum over neurons z of  |A_z| · (gap's decrease per width) · |G_zi|

A_z is the coefficient that met the lines of z, G_zi how far z moves as input i goes from its middle to its end. The gap
-l u / (u - l) of a ReLU falls by (l² + u²) / (u - l)² for each unit that both ends come in; that of a smooth function
grows as the square of the width. How far an input moves the row says little of this: it may do so linearly.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine.engine import Engine
from ..engine.plan import Array
from ..engine.steps import Bend
from ..engine.zonotope import free, input_zonotope, through
from ..functions import Box, Function, Lines
from .memory import largest

_ROOM = 1 << 26  # bytes of a value's generators


@np.errstate(over="ignore", invalid="ignore")
def gains(
    engine: Engine,
    box: Box,
    pre: Mapping[str, Box],
    lines: Mapping[str, Lines],
    met: Mapping[str, Array],
    rows: int,
) -> Array:
    """[D, R, n] for R = `rows` rows over boxes [D, n]; pre: boxes of the nonlinearities' inputs, lines: over these;
    met [D, R, entries]: the coefficients that met them."""
    count = len(box.lower)
    gained = np.zeros((count, rows, engine.inputs))
    size = max(1, _ROOM // (8 * largest(engine) * max(engine.inputs, rows)))
    for first in range(0, count if pre else 0, size):
        part = slice(first, first + size)
        own = _part(box, part)
        entries = free(own)
        if len(entries):
            known = {name: (_part(pre[name], part), _part(each, part), met[name][part]) for name, each in lines.items()}
            gained[part, :, entries] = _gains(engine, own, known)
    return gained


def _part(values: Any, part: slice) -> Any:
    """Of a named tuple of arrays."""
    return values._make(None if each is None else each[part] for each in values)


def _gains(engine: Engine, box: Box, known: Mapping[str, tuple[Box, Lines, Array]]) -> Array:
    """[D, R, free]."""
    values, gained = {0: input_zonotope(box)}, 0.0
    for step in engine.steps:
        if isinstance(step, Bend):
            inside, lines, met = known[step.name]
            weight = abs(met) * _rate(step.function, inside, lines)[:, None]
            gained = gained + weight @ abs(values[step.into].generators).transpose(0, 2, 1) / 2
            values[step.out] = through(step, values, inside, lines)
        else:
            values[step.out] = through(step, values)
    return np.asarray(gained)


def _rate(function: Function, box: Box, lines: Lines) -> Array:
    """What the gap between a nonlinearity's lines loses, by unit of width on either side [D, entries]."""
    lower, upper = box
    width = np.maximum(upper - lower, 1e-30)
    if function.kinked:
        rate = (lower * lower + upper * upper) / (width * width)
    else:
        start = 0.0 if lines.lower_start is None else lines.lower_start[:, 0]
        slope, above = (lines.upper_slope - lines.lower_slope)[:, 0], lines.upper_start[:, 0]
        gaps = [slope * end + above - start for end in box]
        rate = (gaps[0] + gaps[1]) / width
    return np.where(function.unstable(box), rate, 0.0)
