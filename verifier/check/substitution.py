"""Rows carried back through a network: at every value of the region

    rows . v + offset  >=  form . x + offset' - slack

where slack holds all that rounding may add (Zhang et al., CROWN, 2018; Singh et al., DeepPoly, 2019). Rows are
[G, M, n]: G groups of M rows each, a group within one region and one subdomain of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .boxes import Boxes, bend_off, greatest_lines
from .curves import Greatest, Lines, Unary
from .network import INPUT
from .rounding import OUTWARD, TINY, UNIT, own_gamma
from .steps import Affine, Array


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What the nonlinear steps are replaced by, by place in the network's steps, for L subdomains: lines of functions
    [L, n], of greatest entries (places, bent, highest) [L, n]. pulls: what multipliers add to the rows there [L, n],
    and to the offset [L]; `who` [G]: the subdomain of each group of rows, None where they are the same."""

    lines: Mapping[int, Lines]
    greatest: Mapping[int, tuple[Array, Array, Array]]
    who: Array | None = None
    pulls: Mapping[int, Array] = field(default_factory=dict)
    lift: Array | None = None
    lift_size: Array | None = None


class Form(NamedTuple):
    """rows [G, M, n] over the input, offset and slack [G, M]."""

    rows: Array
    offset: Array
    slack: Array


def default_relaxation(boxes: Boxes, places: list[int]) -> Relaxation:
    """Of nonlinear steps at these places, by the default slopes."""
    lines, greatest = {}, {}
    for place in places:
        step = boxes.network.steps[place]
        if isinstance(step, Unary):
            lines[place] = step.curve.lines(boxes.lower[step.input], boxes.upper[step.input], None)
        elif isinstance(step, Greatest):
            greatest[place] = greatest_lines(step, boxes.lower[step.input], boxes.upper[step.input])
    return Relaxation(lines, greatest)


@dataclass(eq=False)
class _Carried:
    """Rows by tensor, still to be carried back; owner [G]: the region of each group, None where they are the same."""

    boxes: Boxes
    owner: Array | None
    rows: dict[int, Array]
    offset: Array
    slack: Array

    def of(self, values: Array) -> Array:
        """[B, n] as [G, n], or as [1, n] where all groups share it."""
        return values if self.owner is None or len(values) == 1 else values[self.owner]

    def add(self, amount: Array) -> None:
        """To the offset, with what adding rounds."""
        self.offset = self.offset + amount
        self.slack += 2 * UNIT * np.abs(self.offset)

    def charge(self, rows: Array, size: Array) -> None:
        """|rows| . size, of [G, n]."""
        self.slack += dot(np.abs(rows), size)

    def give(self, tensor: int, rows: Array) -> None:
        if tensor not in self.rows:
            self.rows[tensor] = rows
            return
        self.rows[tensor] = self.rows[tensor] + rows
        self.charge(self.rows[tensor], 2 * UNIT * self.of(self.boxes.size(tensor)))


def picked(part: Array, who: Array | None) -> Array:
    """[L, n] as [G, n], or as [1, n] where all groups share it."""
    return part if who is None or len(part) == 1 else part[who]


def dot(rows: Array, values: Array) -> Array:
    """rows [G, M, n] times values [G, n], or [1, n] of all: [G, M]."""
    return np.matmul(rows, values[:, :, None])[:, :, 0]


def carry(
    boxes: Boxes, rows: Mapping[int, Array], offset: Array, owner: Array | None, relaxation: Relaxation,
    *, closed: bool = False,
) -> Form:  # fmt: skip
    """Rows by the tensor they are of, back to the input; closed: only to the outputs of nonlinear steps, where their
    boxes bound them.

    rows: of at least one tensor, [G, M, n]; offset [G, M]; nonlinear steps behind them have their lines.
    """
    state = _Carried(boxes, owner, dict(rows), offset.astype(np.float64), np.zeros(offset.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for place in range(len(boxes.network.steps) - 1, -1, -1):
            step = boxes.network.steps[place]
            own = state.rows.pop(step.output, None)
            if own is not None and not isinstance(step, Unary | Greatest):
                _affine(state, step, own)
            elif isinstance(step, Unary | Greatest) and (own is not None or place in relaxation.pulls):
                if closed and own is not None:
                    _enclose(state, step.output, own)
                elif not closed:
                    _bend(state, relaxation, place, own)
        if relaxation.lift is not None and relaxation.lift_size is not None and not closed:
            state.add(picked(relaxation.lift, relaxation.who)[:, None])
            state.slack += picked(relaxation.lift_size, relaxation.who)[:, None]
    found = state.rows.pop(INPUT, None)
    if found is None:
        found = np.zeros((*offset.shape, boxes.network.sizes[INPUT]))
    return Form(found, state.offset, state.slack)


def _affine(state: _Carried, step: Affine, rows: Array) -> None:
    shape = rows.shape
    if step.output in state.boxes.charge:
        state.charge(rows, state.of(state.boxes.charge[step.output]))
    if step.bias is not None:
        state.add(rows @ step.bias)
        if step.output not in state.boxes.charge:
            state.charge(rows, own_gamma(shape[2]) * np.abs(step.bias)[None])
    flat = rows.reshape(-1, shape[2])
    for number, own in zip(step.inputs, step.back(flat), strict=True):
        state.give(number, own.reshape(*shape[:2], -1))


def _bend(state: _Carried, relaxation: Relaxation, place: int, rows: Array | None) -> None:
    step = state.boxes.network.steps[place]
    if not isinstance(step, Unary | Greatest):
        return
    inner = state.of(state.boxes.size(step.input))
    if rows is None:
        found = np.zeros((*state.offset.shape, inner.shape[1]))
    else:
        outer = state.of(state.boxes.size(step.output))
        state.charge(rows, outer * 0 + bend_off(state.boxes, step, outer))
        bent = _bend_greatest if isinstance(step, Greatest) else _bend_unary
        found = bent(state, relaxation, place, rows)
    state.charge(found, 8 * UNIT * inner)
    if place in relaxation.pulls:
        found = found + picked(relaxation.pulls[place], relaxation.who)[:, None]
        state.charge(found, 8 * UNIT * inner)
    state.give(step.input, found)


def _bend_unary(state: _Carried, relaxation: Relaxation, place: int, rows: Array) -> Array:
    """Where a row's factor is positive the lower line counts, else the upper one."""
    lines = Lines(*(picked(part, relaxation.who) for part in relaxation.lines[place]))
    positive, negative = np.maximum(rows, 0), np.minimum(rows, 0)
    low_size, high_size = np.abs(lines.low), np.abs(lines.high)
    if low_size.any():
        state.add(dot(positive, lines.low))
    state.add(dot(negative, lines.high))
    share = own_gamma(rows.shape[2])
    state.slack += share * (dot(positive, low_size) - dot(negative, high_size))
    positive *= lines.low_slope[:, None]
    negative *= lines.high_slope[:, None]
    positive += negative
    return positive


def _bend_greatest(state: _Carried, relaxation: Relaxation, place: int, rows: Array) -> Array:
    step = state.boxes.network.steps[place]
    if not isinstance(step, Greatest):
        raise TypeError(f"{step} has no groups.")
    places, bent, highest = (picked(part, relaxation.who) for part in relaxation.greatest[place])
    places = np.broadcast_to(places, (len(rows), places.shape[1]))
    constant = bent[:, None] & (rows < 0)
    ends = np.where(constant, rows, 0.0)
    state.add(dot(ends, highest))
    state.slack += own_gamma(rows.shape[2]) * dot(np.abs(ends), np.abs(highest))
    carried = np.where(constant, 0.0, rows)
    entries = state.boxes.network.sizes[step.input]
    found = np.zeros((*rows.shape[:2], entries))
    groups, count = np.arange(len(rows))[:, None], rows.shape[2]
    for number in range(rows.shape[1]):
        np.add.at(found[:, number], (groups, places), carried[:, number])
    inner = np.broadcast_to(state.of(state.boxes.size(step.input)), (len(rows), entries))
    taken = np.take_along_axis(inner, places, 1)
    state.slack += own_gamma(count) * dot(np.abs(carried), taken)  # sums, where several groups take one entry
    return found


def _enclose(state: _Carried, tensor: int, rows: Array) -> None:
    lower, upper = state.of(state.boxes.lower[tensor]), state.of(state.boxes.upper[tensor])
    least, slack = least_over(rows, lower, upper)
    state.add(least)
    state.slack += slack


def least_over(rows: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The least of rows [G, M, n] over boxes [G, n], and what rounding of it may hide."""
    least = dot(np.maximum(rows, 0), lower) + dot(np.minimum(rows, 0), upper)
    size = np.maximum(np.abs(lower), np.abs(upper))
    return least, own_gamma(rows.shape[2]) * dot(np.abs(rows), size)


def least(form: Form, lower: Array, upper: Array) -> Array:
    """A lower bound [G, M] of a form over boxes [G, n] of the input, all rounding taken off; -inf where it is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        value, slack = least_over(form.rows, lower, upper)
        total = value + form.offset
        off = form.slack + slack + 8 * UNIT * (np.abs(value) + np.abs(form.offset))
        found = total - off * OUTWARD - TINY
        found = found - 4 * UNIT * np.abs(found)
    return np.where(np.isfinite(found) & np.isfinite(off), found, -np.inf)
