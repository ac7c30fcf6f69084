"""What halving an input's width would gain a row, to first order.

    sum over neurons z of  |A_z| · (gap's decrease per width) · |G_zi|

A_z is the coefficient that met the lines of z, G_zi how far z moves as input i goes from its middle to its end. The gap
-l u / (u - l) of a ReLU falls by (l² + u²) / (u - l)² for each unit that both ends come in; that of a smooth function
grows as the square of the width. How far an input moves the row says little of this: it may do so linearly.
"""

from collections.abc import Mapping

import numpy as np

from ..engine.engine import Engine
from ..engine.plan import Array
from ..engine.steps import Bend
from ..engine.zonotope import free, input_zonotope, through
from ..functions import Box, Function
from .memory import largest

_ROOM = 1 << 26  # bytes of a value's generators


@np.errstate(over="ignore", invalid="ignore")
def gains(engine: Engine, box: Box, pre: Mapping[str, Box], met: Mapping[str, Array], rows: int) -> Array:
    """[D, R, n] for R = `rows` rows over boxes [D, n]; pre: boxes of the nonlinearities' inputs; met [D, R, entries]:
    the coefficients that met their lines."""
    count = len(box.lower)
    gained = np.zeros((count, rows, engine.inputs))
    size = max(1, _ROOM // (8 * largest(engine) * max(engine.inputs, rows)))
    for first in range(0, count if pre else 0, size):
        part = slice(first, first + size)
        own, inside = _part(box, part), {name: _part(known, part) for name, known in pre.items()}
        entries = free(own)
        if len(entries):
            gained[part, :, entries] = _gains(engine, own, inside, {name: coef[part] for name, coef in met.items()})
    return gained


def _part(box: Box, part: slice) -> Box:
    return Box(box.lower[part], box.upper[part])


def _gains(engine: Engine, box: Box, pre: Mapping[str, Box], met: Mapping[str, Array]) -> Array:
    """[D, R, free]."""
    values, gained = {0: input_zonotope(box)}, 0.0
    for step in engine.steps:
        known = pre.get(step.name) if isinstance(step, Bend) else None
        if isinstance(step, Bend) and known is not None:
            weight = abs(met[step.name]) * _rate(step.function, known)[:, None]
            gained = gained + weight @ abs(values[step.into].generators).transpose(0, 2, 1) / 2
        values[step.out] = through(step, values, known)
    return np.asarray(gained)


def _rate(function: Function, box: Box) -> Array:
    """What the gap between a nonlinearity's lines loses, by unit of width on either side [D, entries]."""
    lower, upper = box
    width = np.maximum(upper - lower, 1e-30)
    if function.kinked:
        rate = (lower * lower + upper * upper) / (width * width)
    else:
        lines = function.lines(box, None)
        start = 0.0 if lines.lower_start is None else lines.lower_start[:, 0]
        slope, above = (lines.upper_slope - lines.lower_slope)[:, 0], lines.upper_start[:, 0]
        gaps = [slope * end + above - start for end in box]
        rate = (gaps[0] + gaps[1]) / width
    return np.where(function.unstable(box), rate, 0.0)
