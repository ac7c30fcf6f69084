"""Rows carried back through a network that is a chain, every tensor read by one step: what `substitution` does, with
all that a nonlinear step and what is before it may be off taken into the constants of its lines.

    |a| . d = max(a, 0) . d - min(a, 0) . d

so that a row a loses exactly that where the lower line is lowered by d and the upper one raised. Rows are flat here,
[R, n], and each has the number of its region.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from .boxes import Boxes, bend_off
from .builder import Step
from .curves import Greatest, Lines, Unary
from .network import INPUT, Network, inputs_of
from .rounding import OUTWARD, TINY, UNIT, own_gamma
from .steps import Array, Entrywise
from .substitution import Form

_WIDEST = 1024  # entries of a tensor: rows of single entries are looked up in a table
_TOGETHER = 2**16  # numbers of rows that are carried together: they stay in a core's cache


class Ends(NamedTuple):
    """The lines of a nonlinear step [B, n], all that may be off taken off their constants."""

    low_slope: Array
    low: Array
    high_slope: Array
    high: Array


class _Begin(NamedTuple):
    """Single entries [n] of what a step reads as rows [n, k] over a tensor before: back to the first step that
    computes, where nothing is rounded yet but what adding their offsets may lose. place: of the step that makes that
    tensor; charged: tensors on the way."""

    place: int
    rows: Array
    offset: Array
    lost: Array
    charged: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Chain:
    """A network whose steps each read the one before."""

    network: Network

    @cached_property
    def charged(self) -> dict[int, tuple[int, ...]]:
        """Of nonlinear steps, by place: the tensors whose charge a row over what they read pays as it is."""
        return {place: self._unchanged(place - 1) for place in self.network.bends}

    def _unchanged(self, place: int) -> tuple[int, ...]:
        found = []
        while place >= 0 and not isinstance(step := self.network.steps[place], Unary):
            found.append(step.output)
            if not _passes(step):
                break
            place -= 1
        return tuple(found)

    @cached_property
    def paid(self) -> frozenset[int]:
        """Tensors whose charge the lines of the step behind them hold."""
        return frozenset(tensor for tensors in self.charged.values() for tensor in tensors)

    @cached_property
    def begins(self) -> dict[int, _Begin]:
        return {place: self._begin(place) for place in self.network.bends}

    def _begin(self, place: int) -> _Begin:
        charged = self.charged[place]
        size = self.network.sizes[inputs_of(self.network.steps[place])[0]]
        rows, offset, lost = np.eye(size), np.zeros(size), np.zeros(size)
        for step in self.network.steps[place - len(charged) : place][::-1]:
            if isinstance(step, Unary | Greatest):
                raise TypeError(f"{step} is not affine.")
            if step.bias is not None:
                offset, lost = offset + rows @ step.bias, lost + 8 * UNIT * rows @ np.abs(step.bias)
            (rows,) = step.back(rows)
        return _Begin(place - len(charged) - 1, rows, offset, lost, charged)


@lru_cache(maxsize=4)  # of a network, by who it is
def chain_of(network: Network) -> Chain | None:
    """None where the network is none, or too wide."""
    before = INPUT
    for step in network.steps:
        if inputs_of(step) != (before,) or isinstance(step, Greatest):
            return None
        before = step.output
    return Chain(network) if max(network.sizes) <= _WIDEST and before == network.output else None


def _passes(step: Step) -> bool:
    """Rows over its output are the same rows over its input."""
    if not isinstance(step, Entrywise) or len(step.parts) != 1:
        return False
    part = step.parts[0]
    return part.place is None and part.source is None and part.factor is None


def chain_ends(chain: Chain, boxes: Boxes, place: int, lines: Lines) -> Ends:
    """Of a nonlinear step, when the boxes of what it reads are known."""
    step = chain.network.steps[place]
    if not isinstance(step, Unary):
        raise TypeError(f"{step} has no lines.")
    size = boxes.size(step.input)
    image = np.maximum(*(np.abs(end) for end in step.curve.image(boxes.lower[step.input], boxes.upper[step.input])))
    off = bend_off(boxes, step, image) * OUTWARD
    inner = 8 * UNIT * size + sum(_charge(boxes, chain.network, tensor) for tensor in chain.charged[place])
    share = own_gamma(size.shape[1])
    ends = []
    for slope, end in ((lines.low_slope, lines.low), (lines.high_slope, lines.high)):
        lost = off + np.abs(slope) * inner
        ends.append((lost + 2 * share * (np.abs(end) + lost)) * OUTWARD + TINY)
    return Ends(lines.low_slope, lines.low - ends[0], lines.high_slope, lines.high + ends[1])


def _charge(boxes: Boxes, network: Network, tensor: int) -> Array:
    """What an affine step's output costs a row over it [B or 1, n]; where it only moves entries, what adding its bias
    rounds."""
    if tensor in boxes.charge:
        return boxes.charge[tensor]
    (bias,) = (step.bias for step in network.steps if step.output == tensor and not isinstance(step, Unary | Greatest))
    zero = np.zeros((1, network.sizes[tensor]))
    return zero if bias is None else zero + own_gamma(network.sizes[tensor]) * np.abs(bias)


def carry_chain(
    chain: Chain, boxes: Boxes, ends: Mapping[int, Ends], place: int, rows: Array, offset: Array, owner: Array
) -> Form:
    """Rows [R, n] over the output of the step at this place, with their regions' numbers [R], back to the input: rows
    [R, n], offset and slack [R]."""
    slack = np.zeros(len(rows))
    for number in range(place, -1, -1):
        step = chain.network.steps[number]
        if isinstance(step, Unary):
            own, above = ends[number], rows > 0
            offset = offset + _dot(rows, np.where(above, own.low.take(owner, 0), own.high.take(owner, 0)))
            rows = rows * np.where(above, own.low_slope.take(owner, 0), own.high_slope.take(owner, 0))
        elif not isinstance(step, Greatest):
            if step.output not in chain.paid:
                charge = _charge(boxes, chain.network, step.output)
                slack += _dot(np.abs(rows), charge.take(owner, 0) if len(charge) > 1 else charge)
            if step.bias is not None:
                offset = offset + rows @ step.bias
            (rows,) = step.back(rows)
        slack += 2 * UNIT * np.abs(offset)
    return Form(rows, offset, slack)


def _dot(rows: Array, values: Array) -> Array:
    return np.einsum("rn,rn->r", rows, np.broadcast_to(values, rows.shape))


def entry_bounds(
    chain: Chain, boxes: Boxes, ends: Mapping[int, Ends], place: int, owner: Array, entry: Array
) -> tuple[Array, Array]:
    """Bounds [U] of single entries [U] of what the step at this place reads, in their regions [U]."""
    begin, found = chain.begins[place], np.empty((2, len(owner)))
    size = max(1, _TOGETHER // (2 * chain.network.widest))
    for first in range(0, len(owner), size):
        own, at = owner[first : first + size], entry[first : first + size]
        both, rows, offset = np.concatenate([own, own]), begin.rows[at], begin.offset[at]
        rows, offset = np.concatenate([rows, -rows]), np.concatenate([offset, -offset])
        form = carry_chain(chain, boxes, ends, begin.place, rows, offset, both)
        lost = begin.lost[at]
        for tensor in begin.charged:
            charge = _charge(boxes, chain.network, tensor)
            lost = lost + (charge[own, at] if len(charge) > 1 else charge[0, at])
        slack = form.slack + np.concatenate([lost, lost])
        found[:, first : first + size] = least_of(form._replace(slack=slack), boxes, both).reshape(2, -1)
    return found[0], -found[1]


def least_of(form: Form, boxes: Boxes, owner: Array) -> Array:
    """A lower bound [R] of flat rows over their regions; -inf where it is none."""
    lower, upper = boxes.lower[INPUT], boxes.upper[INPUT]
    with np.errstate(over="ignore", invalid="ignore"):
        value = _dot(form.rows, np.where(form.rows > 0, lower.take(owner, 0), upper.take(owner, 0)))
        off = _dot(np.abs(form.rows), boxes.size(INPUT).take(owner, 0)) * own_gamma(lower.shape[1])
        off += form.slack + 8 * UNIT * (np.abs(value) + np.abs(form.offset))
        total = value + form.offset - off * OUTWARD - TINY
        total = total - 4 * UNIT * np.abs(total)
    return np.where(np.isfinite(total) & np.isfinite(off), total, -np.inf)
