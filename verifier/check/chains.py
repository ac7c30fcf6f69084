"""Rows carried back through a network that is a chain, every tensor read by one step: what `substitution` does, for
many boxes, with all that may be off taken into the constants of the lines,

    |a| . d = max(a, 0) . d - min(a, 0) . d

so that a row a loses exactly that where the lower line is lowered by d and the upper one raised. Rows are flat here,
[R, n], and each has the number of its region. Entries that are 0 in every region are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .boxes import Boxes, bend_off
from .curves import Greatest, Lines, Unary
from .network import INPUT, Network, inputs_of
from .rounding import OUTWARD, TINY, UNIT, own_gamma
from .steps import Affine, Array, Entrywise
from .substitution import Form

_WIDEST = 1024  # entries of a tensor: the maps between nonlinear steps are kept as matrices
_TOGETHER = 2**16  # numbers of rows that are carried together: they stay in a core's cache


@dataclass(frozen=True, eq=False)
class _Piece:
    """What lies before a nonlinear step, or the output: z = W y + bias of the nonlinear step before, or of the input,
    with at most one step that computes. back [z, y]: W, transposed as rows want it; biases and the tensors whose
    charge rows over z pay as they are, then the same of rows over y. before: place of the nonlinear step, -1: none."""

    back: Array
    bias: Array
    charged: tuple[int, ...]
    bias_before: Array | None
    charged_before: tuple[int, ...]
    before: int


@dataclass(frozen=True, eq=False)
class Chain:
    """pieces: by the place of the nonlinear step that they lead to; of the output by the number of steps."""

    network: Network
    pieces: dict[int, _Piece]


@lru_cache(maxsize=4)  # of a network, by who it is
def chain_of(network: Network) -> Chain | None:
    """None where the network is none, too wide, or has several steps that compute between nonlinear ones."""
    before, last, pieces = INPUT, -1, dict[int, _Piece]()
    affine: list[Affine] = []
    if max(network.sizes) > _WIDEST:
        return None
    for place, step in enumerate((*network.steps, None)):
        if step is not None and (inputs_of(step) != (before,) or isinstance(step, Greatest)):
            return None
        if step is None or isinstance(step, Unary):
            if sum(not passes(own) for own in affine) > 1:
                return None
            pieces[place] = _piece(network, affine, before, last)
            affine, last = [], place
        elif not isinstance(step, Greatest):
            affine.append(step)
        before = network.output if step is None else step.output
    return Chain(network, pieces)


def _piece(network: Network, affine: Sequence[Affine], tensor: int, before: int) -> _Piece:
    size = network.sizes[tensor]
    rows, bias, charged = np.eye(size), [np.zeros(size)], list[list[int]]([[]])
    for step in reversed(affine):
        charged[-1].append(step.output)
        if step.bias is not None:
            bias[-1] = bias[-1] + step.bias
        if not passes(step):
            (rows,) = step.back(rows)
            bias.append(np.zeros(rows.shape[1]))
            charged.append([])
    second = (bias[1] if bias[1].any() else None, tuple(charged[1])) if len(bias) > 1 else (None, ())
    return _Piece(rows, bias[0], tuple(charged[0]), *second, before)


def passes(step: Affine) -> bool:
    """Rows over its output are the same rows over its input."""
    if not isinstance(step, Entrywise) or len(step.parts) != 1:
        return False
    part = step.parts[0]
    return part.place is None and part.source is None and part.factor is None


class _Ends(NamedTuple):
    """Of a nonlinear step: the entries that are not 0 in every region, and their lines [B, live], all that may be off
    taken off the constants; off [B, n]: by how much the others may be off 0."""

    live: Array
    lines: Lines
    off: Array


@dataclass(eq=False)
class Carrier:
    """Carries rows in regions; ends: of the nonlinear steps so far, by place; blocks: the maps of their pieces."""

    chain: Chain
    boxes: Boxes
    ends: dict[int, _Ends] = field(default_factory=dict)
    blocks: dict[int, Array] = field(default_factory=dict)
    charges: dict[int, Array] = field(default_factory=dict)

    def add(self, place: int, lines: Lines) -> None:
        """The lines of the nonlinear step there, whose boxes are known."""
        boxes, step, piece = self.boxes, self.chain.network.steps[place], self.chain.pieces[place]
        if not isinstance(step, Unary):
            raise TypeError(f"{step} has no lines.")
        size, lower, upper = boxes.size(step.input), boxes.lower[step.input], boxes.upper[step.input]
        image = np.maximum(*(np.abs(end) for end in step.curve.image(lower, upper)))
        (behind,) = (own for own in self.chain.pieces.values() if own.before == place)
        off = bend_off(boxes, step, image) * OUTWARD + sum(self._charge(t) for t in behind.charged_before)
        off = np.broadcast_to(off, lower.shape)
        inner = 8 * UNIT * size + self.charge(place)
        share, ends = 2 * own_gamma(size.shape[1]), []
        for slope, end in ((lines.low_slope, lines.low), (lines.high_slope, lines.high)):
            lost = off + np.abs(slope) * inner
            ends.append((lost + share * (np.abs(end) + lost)) * OUTWARD + TINY)
        live = np.flatnonzero(~np.logical_and.reduce([(part == 0).all(0) for part in lines]))
        found = Lines(lines.low_slope, lines.low - ends[0], lines.high_slope, lines.high + ends[1])
        self.ends[place] = _Ends(live, Lines(*(np.ascontiguousarray(part[:, live]) for part in found)), ends[0])
        rows = piece.back[live]
        self.blocks[place] = np.ascontiguousarray(rows if piece.before < 0 else rows[:, self.ends[piece.before].live])

    def charge(self, place: int) -> Array:
        """What rows over the end of a piece lose [B, n]: what is rounded there, and what is left out as 0 before."""
        if place not in self.charges:
            piece = self.chain.pieces[place]
            found = np.zeros((len(self.boxes.valid), len(piece.bias))) + 8 * UNIT * np.abs(piece.bias)
            for tensor in piece.charged:
                found = found + self._charge(tensor)
            if piece.before >= 0:
                before = self.ends[piece.before]
                dead = np.delete(np.arange(before.off.shape[1]), before.live)
                found = found + before.off[:, dead] @ np.abs(piece.back[:, dead].T)
            self.charges[place] = found * OUTWARD
        return self.charges[place]

    def _charge(self, tensor: int) -> Array:
        """[B or 1, n]; where an affine step only moves entries, what adding its bias rounds."""
        if tensor in self.boxes.charge:
            return self.boxes.charge[tensor]
        network = self.chain.network
        (step,) = (step for step in network.steps if step.output == tensor)
        zero = np.zeros((1, network.sizes[tensor]))
        if isinstance(step, Unary | Greatest) or step.bias is None:
            return zero
        return zero + own_gamma(network.sizes[tensor]) * np.abs(step.bias)

    def carry(self, rows: Array, offset: Array, owner: Array) -> Form:
        """Rows [R, K] over the output, with their regions' numbers [R], back to the input: rows [R, n], offset, slack
        [R]."""
        place = len(self.chain.network.steps)
        piece, charge = self.chain.pieces[place], self.charge(place)
        slack = _dot(np.abs(rows), charge.take(owner, 0))
        back = piece.back if piece.before < 0 else piece.back[:, self.ends[piece.before].live]
        return self._back(place, rows @ back, offset + rows @ piece.bias, slack, owner)

    def entries(self, place: int, owner: Array, entry: Array) -> tuple[Array, Array]:
        """Bounds [U] of single entries [U] of what the nonlinear step there reads, in their regions [U]."""
        piece, found, charge = self.chain.pieces[place], np.empty((2, len(owner))), self.charge(place)
        back = piece.back if piece.before < 0 else piece.back[:, self.ends[piece.before].live]
        size = max(1, _TOGETHER // (2 * self.chain.network.widest))
        for first in range(0, len(owner), size):
            own, at = owner[first : first + size], entry[first : first + size]
            rows, offset, slack = back[at], piece.bias[at], charge[own, at]
            rows, offset = np.concatenate([rows, -rows]), np.concatenate([offset, -offset])
            both = np.concatenate([own, own])
            form = self._back(place, rows, offset, np.concatenate([slack, slack]), both)
            found[:, first : first + size] = self._least(form, both).reshape(2, -1)
        return found[0], -found[1]

    def _back(self, place: int, rows: Array, offset: Array, slack: Array, owner: Array) -> Form:
        """Rows over the entries that are not left out, of what the piece at this place begins with."""
        piece = self.chain.pieces[place]
        while True:
            if piece.bias_before is not None:
                live = slice(None) if piece.before < 0 else self.ends[piece.before].live
                offset = offset + rows @ piece.bias_before[live]
            slack = slack + 4 * UNIT * np.abs(offset)
            if piece.before < 0:
                break
            place = piece.before
            piece, ends = self.chain.pieces[place], self.ends[place]
            positive = np.maximum(rows, 0)
            rows = rows - positive
            offset = offset + _dot(positive, ends.lines.low.take(owner, 0))
            slack = slack + 2 * UNIT * np.abs(offset)
            offset = offset + _dot(rows, ends.lines.high.take(owner, 0))
            slack = slack + 2 * UNIT * np.abs(offset)
            positive *= ends.lines.low_slope.take(owner, 0)
            rows *= ends.lines.high_slope.take(owner, 0)
            rows += positive
            offset = offset + rows @ piece.bias[ends.live]
            rows = rows @ self.blocks[place]
        for tensor in piece.charged_before:
            charge = self._charge(tensor)
            slack = slack + _dot(np.abs(rows), charge.take(owner, 0) if len(charge) > 1 else charge)
        return Form(rows, offset, slack)

    def _least(self, form: Form, owner: Array) -> Array:
        """A lower bound [R] over the regions; -inf where it is none."""
        lower, upper = self.boxes.lower[INPUT], self.boxes.upper[INPUT]
        with np.errstate(over="ignore", invalid="ignore"):
            positive = np.maximum(form.rows, 0)
            value = _dot(positive, lower.take(owner, 0)) + _dot(form.rows - positive, upper.take(owner, 0))
            off = _dot(np.abs(form.rows), self.boxes.size(INPUT).take(owner, 0)) * own_gamma(lower.shape[1])
            off += form.slack + 8 * UNIT * (np.abs(value) + np.abs(form.offset))
            total = value + form.offset - off * OUTWARD - TINY
            total = total - 4 * UNIT * np.abs(total)
        return np.where(np.isfinite(total) & np.isfinite(off), total, -np.inf)


def _dot(rows: Array, values: Array) -> Array:
    return np.einsum("rn,rn->r", rows, np.broadcast_to(values, rows.shape))
