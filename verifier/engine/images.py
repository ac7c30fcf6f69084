"""Interval bound propagation (Gowal et al. 2018) through the steps of an engine."""

from collections.abc import Mapping

import numpy as np

from ..functions import Box
from .anchor import Anchor
from .engine import Engine
from .plan import Array
from .steps import Affine, Bend
from .substitution import Spec, dot, substituted

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
def images(engine: Engine, box: Box, known: Mapping[int, Box] | None = None) -> dict[int, Box]:
    """The interval image [B, n] of every value, by number, for inputs in the boxes [B, n]; known: boxes that are."""
    boxes = {0: box, **(known or {})}
    for step in engine.steps:
        if step.out not in boxes:
            boxes[step.out] = image(step, boxes)
    return boxes


@np.errstate(over="ignore", invalid="ignore")
def row_bounds(engine: Engine, boxes: Mapping[int, Box], spec: Spec) -> Array:
    """Lower bounds [B, M] of rows over the output, from the boxes [B, n] of the last values that are not affine in
    others: what is affine above them is one with the rows."""
    total, coefs = spec.offset, {engine.output: spec.rows}
    for step in reversed(engine.steps):
        if isinstance(step, Bend) or step.out not in coefs:
            continue
        coef = coefs.pop(step.out)
        if step.offset is not None:
            total = total + coef @ step.offset
        for number, part in zip(step.inputs, step.back(coef.reshape(-1, coef.shape[2])), strict=True):
            part = part.reshape(*coef.shape[:2], -1)
            coefs[number] = coefs[number] + part if number in coefs else part
    for number, coef in coefs.items():
        centre = (boxes[number].lower + boxes[number].upper) * 0.5
        radius = boxes[number].upper - centre
        total = total + dot(coef, centre[:, None]) - dot(abs(coef), radius[:, None])
    return total


def affine_images(engine: Engine, anchor: Anchor) -> dict[int, Box]:
    """Boxes of the values affine in the input that others are computed from, over balls: every entry's own row meets
    the ball itself. Interval arithmetic begins at the box around it, and loses its shape before any nonlinearity.
    """
    readers = [step for step in engine.steps if step.out not in engine.affine]
    wanted = {number for step in readers for number in (step.inputs if isinstance(step, Affine) else (step.into,))}
    return {number: _exact(engine, anchor, number) for number in sorted(wanted & engine.affine - {0})}


def _exact(engine: Engine, anchor: Anchor, number: int) -> Box:
    size, batch = engine.size(number), len(anchor.box.lower)
    many = max(1, _ROOM // (8 * batch * max(map(engine.size, range(number + 1)))))
    found: list[list[Array]] = []
    for first in range(0, size, many):
        unit = np.eye(min(many, size - first), size, first, engine.dtype)[None]
        sides = (substituted(engine, number, rows, {}, anchor, keep=False).least(anchor) for rows in (unit, -unit))
        found.append(list(sides))
    lower, minus_upper = (np.concatenate(side, 1) for side in zip(*found, strict=True))
    return Box(lower, -minus_upper)
