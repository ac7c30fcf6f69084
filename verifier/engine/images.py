"""Interval bound propagation (Gowal et al. 2018) through the steps of an engine."""

from collections.abc import Mapping

import numpy as np

from ..functions import Box
from .anchor import Anchor
from .engine import Engine
from .plan import Array
from .steps import Affine, Bend

_ROOM = 1 << 26  # bytes of the rows that are carried at a time


def image(step: Affine | Bend, boxes: Mapping[int, Box]) -> Box:
    """The box [B, n] of a step's output from those of its inputs, by value number."""
    if isinstance(step, Bend):
        return step.function.interval(boxes[step.into])
    centres = [(boxes[number].lower + boxes[number].upper) * 0.5 for number in step.inputs]
    radii = [boxes[number].upper - centre for number, centre in zip(step.inputs, centres, strict=True)]
    centre, radius = step.forward(*centres), step.spread(*radii)
    return Box(centre - radius, centre + radius)


@np.errstate(over="ignore", invalid="ignore")
def images(engine: Engine, box: Box) -> dict[int, Box]:
    """The interval image [B, n] of every value, by number, for inputs in the boxes [B, n]."""
    boxes = {0: box}
    for step in engine.steps:
        boxes[step.out] = image(step, boxes)
    return boxes


@np.errstate(over="ignore", invalid="ignore")
def affine_images(engine: Engine, anchor: Anchor) -> dict[int, Box]:
    """Exact boxes, but for rounding, of the values affine in the input, over balls: every entry's own row meets the
    ball itself. Interval arithmetic begins at the box around it, and loses its shape before the first nonlinearity.
    """
    wanted = {
        number
        for step in engine.steps
        if step.out not in engine.affine
        for number in (step.inputs if isinstance(step, Affine) else (step.into,))
    } & engine.affine - {0}
    values, found = {0: anchor.centre}, dict[int, Box]()
    for step in engine.steps:
        if not isinstance(step, Affine) or step.out not in engine.affine:
            continue
        values[step.out] = step.forward(*(values[number] for number in step.inputs))
        if step.out in wanted:
            down, up = _falls(engine, anchor, step.out)
            found[step.out] = Box(values[step.out] + down, values[step.out] - up)
    return found


def _falls(engine: Engine, anchor: Anchor, number: int) -> tuple[Array, Array]:
    """How far below the value at the centre each entry, and its negative, may fall: [B, n] each, at most 0."""
    if anchor.ball is None:
        raise ValueError("an anchor without balls has interval images")
    size, batch = engine.size(number), len(anchor.box.lower)
    many = max(1, _ROOM // (8 * batch * max(engine.size(step.out) for step in engine.steps)))
    parts: list[list[Array]] = [[], []]
    for first in range(0, size, many):
        rows = _carried(engine, number, np.eye(size, dtype=engine.dtype)[first : first + many])
        for own, sign in zip(parts, (1, -1), strict=True):
            own.append(anchor.ball.least(np.broadcast_to(sign * rows, (batch, *rows.shape))))
    down, up = (np.concatenate(own, 1) for own in parts)
    return down, up


def _carried(engine: Engine, number: int, rows: Array) -> Array:
    """Rows [M, n] over a value affine in the input as rows [M, inputs] over the input."""
    coefs = {number: rows}
    for step in reversed(engine.steps):
        if not isinstance(step, Affine) or step.out not in coefs:
            continue
        for value, part in zip(step.inputs, step.back(coefs.pop(step.out)), strict=True):
            coefs[value] = coefs[value] + part if value in coefs else part
    return coefs[0]
