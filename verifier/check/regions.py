"""Boxes of many regions by a rule, and what the default leaf closes there.

Rule 0: intervals. Rule 1: rows are substituted back to the input. Rule 2: so are the inputs of nonlinear steps, where
intervals leave them undecided.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import forms
from .boxes import Boxes, region_boxes, step_box
from .chains import Carrier, chain_of
from .curves import Greatest, Unary
from .network import INPUT, Network
from .questions import Asked, Matrix
from .rounding import UNIT, Arithmetic
from .steps import Array
from .substitution import Form, Relaxation, carry, default_relaxation, dot, greatest_lines, least

BUDGET = 2**27  # bytes of rows, at a time
_COPIES = 6  # of them, while they are carried
_KEPT = 8  # numbers of every entry: its box, its charge, its lines


def at_once(network: Network, rows: int = 1, *, boxes: bool = False) -> int:
    """How many groups of so many rows are carried together; boxes: each in a region of its own."""
    each = _COPIES * network.widest * max(1, rows) + (_KEPT * sum(network.sizes) if boxes else 0)
    return max(1, BUDGET // (8 * each))


def pieces(count: int, size: int) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(count, first + size))


@dataclass(frozen=True, eq=False)
class Regions:
    """B regions and their boxes by a rule; relaxation: by default slopes, empty under rule 0; carrier: the same of a
    network that is a chain."""

    boxes: Boxes
    rule: int
    relaxation: Relaxation
    carrier: Carrier | None = None

    @property
    def network(self) -> Network:
        return self.boxes.network

    @property
    def count(self) -> int:
        return len(self.boxes.valid)


def make_regions(network: Network, arithmetic: Arithmetic, lower: Array, upper: Array, rule: int) -> Regions:
    """Of boxes [B, n] of the input."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        boxes = region_boxes(network, arithmetic, lower, upper)
        relaxation, chain = Relaxation({}, {}), chain_of(network) if rule > 0 else None
        carrier = None if chain is None else Carrier(chain, boxes)
        form = forms.first_forms(boxes) if rule == 2 and forms.suits(network) else None
        for place, step in enumerate(network.steps):
            if rule > 0 and isinstance(step, Unary | Greatest):
                if form is not None:
                    forms.tighten(form, boxes, step.input)
                if rule == 2 and place not in network.exact_boxes:
                    _refine(boxes, relaxation, place, carrier)
                own = default_relaxation(boxes, [place])
                relaxation = Relaxation({**relaxation.lines, **own.lines}, {**relaxation.greatest, **own.greatest})
                if carrier is not None:
                    carrier.add(place, own.lines[place])
            step_box(boxes, step)
            form = None if form is None else forms.passed(form, boxes, step, relaxation.lines.get(place))
    return Regions(boxes, rule, relaxation, carrier)


def _refine(boxes: Boxes, relaxation: Relaxation, place: int, carrier: Carrier | None) -> None:
    """The box of what a step reads, by substitution, for entries that are undecided."""
    step = boxes.network.steps[place]
    if not isinstance(step, Unary | Greatest):
        raise TypeError(f"{step} is affine.")
    lower, upper = boxes.lower[step.input].copy(), boxes.upper[step.input].copy()
    owners, entries = np.nonzero(_undecided(step, lower, upper) & boxes.valid[:, None])
    for piece in pieces(len(owners), at_once(boxes.network, 2)):
        owner, entry = owners[piece], entries[piece]
        if carrier is not None:
            found = carrier.entries(place, owner, entry)
        else:
            found = _entry_bounds(boxes, relaxation, step.input, owner, entry)
        low, high = np.maximum(lower[owner, entry], found[0]), np.minimum(upper[owner, entry], found[1])
        lower[owner, entry], upper[owner, entry] = np.minimum(low, high), np.maximum(low, high)
    boxes.put(step.input, lower, upper)


def _entry_bounds(boxes: Boxes, relaxation: Relaxation, tensor: int, owner: Array, entry: Array) -> tuple[Array, Array]:
    """Of single entries [U] of a tensor."""
    rows = np.zeros((len(owner), 2, boxes.network.sizes[tensor]))
    rows[np.arange(len(owner)), 0, entry] = 1
    rows[np.arange(len(owner)), 1, entry] = -1
    own = Relaxation(relaxation.lines, relaxation.greatest, owner)
    form = carry(boxes, {tensor: rows}, np.zeros((len(owner), 2)), owner, own)
    found = least(form, boxes.lower[INPUT][owner], boxes.upper[INPUT][owner])
    return found[:, 0], -found[:, 1]


def _undecided(step: Unary | Greatest, lower: Array, upper: Array) -> Array:
    """[B, n]"""
    if isinstance(step, Unary):
        return step.curve.unstable(lower, upper)
    _, bent, _ = greatest_lines(step, lower, upper)
    found = np.zeros((len(lower), lower.shape[1] + 1), bool)
    for number, groups in enumerate(bent):
        found[number, step.groups[groups].reshape(-1)] = True
    return found[:, :-1] & (lower < upper)


def bound_rows(
    regions: Regions, matrices: Sequence[Matrix], owner: Array | None, relaxation: Relaxation
) -> tuple[Array, Form | None]:
    """Lower bounds [G, M] of M rows each for G groups, -inf for invalid regions; and the rows over the input, but
    under rule 0. matrices: one for each group, or one of all."""
    boxes, count = regions.boxes, regions.count if owner is None else len(owner)
    lower, upper = boxes.lower[INPUT], boxes.upper[INPUT]
    if owner is not None and len(lower) > 1:
        lower, upper = lower[owner], upper[owner]
    rows, offset = _stacked(matrices, count, regions.network)
    rounded = _rounded(boxes, rows, offset, owner)
    near = carry(boxes, rows, offset, owner, relaxation, closed=True)
    bounds, form = least(near._replace(slack=near.slack + rounded), lower, upper), None
    if regions.rule > 0:
        far = _far(regions, rows, offset, owner, relaxation)
        form = far._replace(slack=far.slack + rounded)
        bounds = np.maximum(bounds, least(form, lower, upper))
    valid = boxes.valid if owner is None else boxes.valid[owner]
    return np.where(valid[:, None], bounds, -np.inf), form


def _far(regions: Regions, rows: dict[int, Array], offset: Array, owner: Array | None, relaxation: Relaxation) -> Form:
    """Rows back to the input."""
    carrier = regions.carrier
    if carrier is None or owner is not None or relaxation is not regions.relaxation or len(rows) > 1:
        return carry(regions.boxes, rows, offset, owner, relaxation)
    shape, flat = offset.shape, rows[regions.network.output].reshape(offset.size, -1)
    owners = np.repeat(np.arange(shape[0]), shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        found = carrier.carry(flat, offset.reshape(-1), owners)
    return Form(found.rows.reshape(*shape, -1), found.offset.reshape(shape), found.slack.reshape(shape))


def _stacked(matrices: Sequence[Matrix], count: int, network: Network) -> tuple[dict[int, Array], Array]:
    outputs, offset = (np.stack([getattr(own, part) for own in matrices]) for part in ("outputs", "offset"))
    rows = {network.output: np.broadcast_to(outputs, (count, *outputs.shape[1:]))}
    if any(own.inputs is not None for own in matrices):
        zero = np.zeros((outputs.shape[1], network.sizes[INPUT]))
        inputs = np.stack([zero if own.inputs is None else own.inputs for own in matrices])
        rows[INPUT] = np.broadcast_to(inputs, (count, *inputs.shape[1:]))
    return rows, np.broadcast_to(offset, (count, *offset.shape[1:]))


def _rounded(boxes: Boxes, rows: dict[int, Array], offset: Array, owner: Array | None) -> Array:
    """What the numbers of the rows themselves, each the nearest to an exact one, may be off [G, M]."""
    share = 2 * UNIT + boxes.arithmetic.spare
    off = share * np.abs(offset)
    for tensor, own in rows.items():
        size = boxes.size(tensor)
        size = size if owner is None or len(size) == 1 else size[owner]
        off = off + share * dot(np.abs(own), size)
    return off


def closed_by(bounds: Array, clause: Array, count: int) -> Array:
    """[G, count]: which clauses have a row that is positive."""
    found = np.zeros((len(bounds), count), bool)
    for place, number in enumerate(clause.tolist()):
        found[:, number] |= bounds[:, place] > 0
    return found


def close_roots(network: Network, arithmetic: Arithmetic, asked: Sequence[Asked], rule: int) -> list[Array]:
    """Of each region which clauses [C] the default leaf closes under a rule; many regions at a time."""
    found: list[Array] = [np.zeros(0, bool)] * len(asked)
    by_rows: dict[int, list[int]] = {}
    for number, own in enumerate(asked):
        by_rows.setdefault(len(own.clauses.candidates.clause), []).append(number)
    for rows, numbers in by_rows.items():
        for piece in pieces(len(numbers), at_once(network, rows, boxes=True)):
            here = numbers[piece]
            lower, upper = (np.stack([getattr(asked[number], end) for number in here]) for end in ("lower", "upper"))
            regions = make_regions(network, arithmetic, lower, upper, rule)
            bounds = all_bounds(
                regions, [asked[number].clauses.candidates for number in here], None, regions.relaxation
            )
            for number, own in zip(here, bounds, strict=True):
                clauses = asked[number].clauses
                found[number] = closed_by(own[None], clauses.candidates.clause, len(clauses.rows))[0]
    return found


def all_bounds(regions: Regions, matrices: Sequence[Matrix], owner: Array | None, relaxation: Relaxation) -> Array:
    """`bound_rows` of as many rows as there are, some at a time."""
    count, groups = len(matrices[0].clause), regions.count if owner is None else len(owner)
    most = max(1, at_once(regions.network, groups))
    parts = [np.zeros((groups, 0))]
    for piece in pieces(count, most):
        some = [
            Matrix(m.outputs[piece], None if m.inputs is None else m.inputs[piece], m.offset[piece], m.clause[piece])
            for m in matrices
        ]
        parts.append(bound_rows(regions, some, owner, relaxation)[0])
    return np.concatenate(parts, 1)
