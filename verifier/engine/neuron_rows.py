"""Bounds of neurons: rows v_i or -v_i over the input of a nonlinearity."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..functions import Lines
from .anchor import Anchor
from .engine import Engine
from .job import Job, Lining, Rows
from .plain_rows import PlainRows
from .plan import Array

if TYPE_CHECKING:
    from .errors import Errors

_RATE = 0.25  # of a climb


def neuron_bounds(
    engine: Engine,
    name: str,
    box: Array,
    neuron: Array,
    sign: Array,
    lines: Mapping[str, Lines],
    anchor: Anchor,
    errors: "Errors | None" = None,
) -> Array:
    """Lower bounds [n] of sign · v, for entries neuron [n] of the nonlinearity's input `name` in boxes number box [n],
    by lines [B, 1, n] that all rows of a box share; less what rounding may have added, where `errors` are given."""
    order = _neighbours(engine, name, neuron, box)
    job = _job(engine, name, _shared(engine, lines, errors), anchor, neuron[order], sign[order], errors)
    bound = rows_program(engine, anchor).bounds(job._replace(box=box[order])).bound
    found = np.empty_like(bound)
    found[order] = bound
    return found


def climbed(
    engine: Engine,
    name: str,
    neuron: Array,
    sign: Array,
    lines: Mapping[str, Lines],
    anchor: Anchor,
    live: Mapping[str, Array],
    *,
    slopes: Mapping[str, Array] | None = None,
    steps: int = 0,
    errors: "Errors | None" = None,
) -> tuple[Array, dict[str, Array]]:
    """Lower bounds [n] of sign · v in the anchor's one box, every row with lower slopes of its own for the entries
    live [m]: `slopes` [n, m], or those of `lines` after so many steps of ascent, which come with it. errors: as in
    `neuron_bounds`. For piecewise linear networks."""
    count, linings = len(neuron), _shared(engine, lines, errors)
    for each in lines:
        place = engine.bends[each].lines
        lining = linings[place]
        if lining is not None:
            own = live[each]
            start = np.repeat(lining.low[:1, own], count, 0) if slopes is None else slopes[each]
            linings[place] = lining._replace(slope=start, live=own)
    job = _job(engine, name, linings, anchor, neuron, sign, errors)
    found = rows_program(engine, anchor).bounds(job, steps=steps, rate=_RATE)
    return found.bound, {each: found.low[engine.bends[each].lines] for each in lines}


def rows_program(engine: Engine, anchor: Anchor) -> Rows:
    """What bounds rows for inputs like these."""
    return engine.program if anchor.ball is None else PlainRows(engine)


def _job(
    engine: Engine,
    name: str,
    linings: list[Lining | None],
    anchor: Anchor,
    neuron: Array,
    sign: Array,
    errors: "Errors | None",
) -> Job:
    into = engine.bends[name].into
    sign = sign.astype(engine.dtype, copy=False)
    return Job(
        into, linings, anchor.centre, anchor.radius, (neuron, sign), ball=anchor.ball,
        error=None if errors is None else errors.own[into],
    )  # fmt: skip


def _shared(engine: Engine, lines: Mapping[str, Lines], errors: "Errors | None") -> list[Lining | None]:
    """Lines that all rows of a box share; None for a nonlinearity without."""
    found: list[Lining | None] = [None] * len(engine.plan.linings)
    for name, each in lines.items():
        start = None if each.lower_start is None else each.lower_start[:, 0]
        found[engine.bends[name].lines] = Lining(
            each.lower_slope[:, 0], start, each.upper_slope[:, 0], each.upper_start[:, 0],
            error=None if errors is None else errors.lining[name],
        )  # fmt: skip
    return found


def _neighbours(engine: Engine, name: str, neuron: Array, box: Array) -> Array:
    """The order [n] that puts entries side by side which see much the same of the values below."""
    _, height, width = engine.plan.values[engine.bends[name].into].shape
    return np.argsort(box * (height * width) + neuron % (height * width), kind="stable")
