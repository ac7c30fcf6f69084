"""Bounds of neurons: rows v_i or -v_i over the input of a nonlinearity."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

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


class Neurons(NamedTuple):
    """Rows sign · v for entries [n] of the nonlinearity's input `name`, sign [n] 1 or -1; box [n]: the number of each
    one's box among the anchor's, None: there is but one."""

    name: str
    entry: Array
    sign: Array
    box: Array | None = None


def neuron_bounds(
    engine: Engine,
    neurons: Neurons,
    lines: Mapping[str, Lines],
    anchor: Anchor,
    errors: "Errors | None" = None,
) -> Array:
    """Lower bounds [n] by lines [B, 1, n] that all rows of a box share; less what rounding may have added, where
    `errors` are given."""
    order = _neighbours(engine, neurons)
    own = Neurons(
        neurons.name, neurons.entry[order], neurons.sign[order], None if neurons.box is None else neurons.box[order]
    )
    bound = rows_program(engine, anchor).bounds(_job(engine, own, _shared(engine, lines, errors), anchor, errors)).bound
    found = np.empty_like(bound)
    found[order] = bound
    return found


def climbed(
    engine: Engine,
    neurons: Neurons,
    lines: Mapping[str, Lines],
    anchor: Anchor,
    live: Mapping[str, Array],
    *,
    slopes: Mapping[str, Array] | None = None,
    steps: int = 0,
    errors: "Errors | None" = None,
) -> tuple[Array, dict[str, Array]]:
    """Lower bounds [n] in the anchor's one box, every row with lower slopes of its own for the entries live [m]:
    `slopes` [n, m], or those of `lines` after so many steps of ascent, which come with it. errors: as in
    `neuron_bounds`. For piecewise linear networks."""
    count, linings = len(neurons.entry), _shared(engine, lines, errors)
    for each in lines:
        place = engine.bends[each].lines
        lining = linings[place]
        if lining is not None:
            own = live[each]
            start = np.repeat(lining.low[:1, own], count, 0) if slopes is None else slopes[each]
            linings[place] = lining._replace(slope=start, live=own)
    found = rows_program(engine, anchor).bounds(_job(engine, neurons, linings, anchor, errors), steps=steps, rate=_RATE)
    return found.bound, {each: found.low[engine.bends[each].lines] for each in lines}


def rows_program(engine: Engine, anchor: Anchor) -> Rows:
    """What bounds rows for inputs like these."""
    return engine.program if anchor.ball is None else PlainRows(engine)


def _job(
    engine: Engine, neurons: Neurons, linings: list[Lining | None], anchor: Anchor, errors: "Errors | None"
) -> Job:
    into = engine.bends[neurons.name].into
    return Job(
        into, linings, anchor.centre, anchor.radius, (neurons.entry, neurons.sign.astype(engine.dtype, copy=False)),
        box=neurons.box, ball=anchor.ball, error=None if errors is None else errors.own[into],
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


def _neighbours(engine: Engine, neurons: Neurons) -> Array:
    """The order [n] that puts entries side by side which see much the same of the values below."""
    _, height, width = engine.plan.values[engine.bends[neurons.name].into].shape
    spot = neurons.entry % (height * width)
    return np.argsort(spot if neurons.box is None else neurons.box * (height * width) + spot, kind="stable")
