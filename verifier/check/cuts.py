"""Boxes of inputs with the lines of rows over them, and what these lines let be cut off, many boxes at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .network import Network
from .questions import Matrix
from .regions import at_once, bound_rows, make_regions, pieces
from .rounding import Arithmetic
from .steps import Array
from .substitution import Form, least

Ends = Sequence[tuple[int, int, float]]  # entry, side, the new end


@dataclass(frozen=True, eq=False)
class Bounded:
    """Boxes [B, n] of the input; clause [M] of each row; bounds [B, M]; valid [B]; the rows' lines, none under rule
    0."""

    lower: Array
    upper: Array
    clause: Array
    bounds: Array
    valid: Array
    form: Form | None

    def best(self, clauses: Sequence[int]) -> Array:
        """The best bound of each clause [B, C]."""
        return best_of(self.bounds, self.clause, clauses)

    def steep(self, box: int) -> Array | None:
        """By how much the best row's line moves along each input of a box [n], or might, where it is flat; None under
        rule 0."""
        if self.form is None:
            return None
        slopes = np.abs(self.form.rows[box, int(np.argmax(self.bounds[box]))])
        return np.asarray((slopes + 0.05 * slopes.max()) * (self.upper[box] - self.lower[box]))


def best_of(bounds: Array, clause: Array, clauses: Sequence[int]) -> Array:
    """bounds [B, M] of rows as those of clauses [B, C]."""
    none = np.full((len(bounds), 1), -np.inf)
    return np.stack([np.concatenate([none, bounds[:, clause == c]], 1).max(1) for c in clauses], 1)


def bounded(network: Network, arithmetic: Arithmetic, lower: Array, upper: Array, rule: int, rows: Matrix) -> Bounded:
    """By the default leaf."""
    regions = make_regions(network, arithmetic, lower, upper, rule)
    bounds, lines = list[Array](), list[Form]()
    for piece in pieces(len(rows.clause), at_once(network, len(lower))):
        inputs = None if rows.inputs is None else rows.inputs[piece]
        own = Matrix(rows.outputs[piece], inputs, rows.offset[piece], rows.clause[piece])
        found, form = bound_rows(regions, [own], None, regions.relaxation)
        bounds.append(found)
        if form is not None:
            lines.append(form)
    form = Form(*(np.concatenate(parts, 1) for parts in zip(*lines, strict=True))) if lines else None
    return Bounded(lower, upper, rows.clause, np.concatenate(bounds, 1), regions.boxes.valid, form)


def moved(
    boxes: Bounded, rows: Array, clauses: Sequence[int], open_: Array, ends: Sequence[Ends]
) -> tuple[Array, Array, Array, Array]:
    """Ends of the boxes with these numbers [D], one after the other, each over what the ones before leave: an end moves
    where on the slab that it takes off every clause that is open [D, C] has a row whose line, over the whole box, is
    positive. The boxes that are left [D, n]; which ends moved, and which lay inside of their box [D, most ends]."""
    lower, upper = boxes.lower[rows].copy(), boxes.upper[rows].copy()
    counts = np.array([len(own) for own in ends])
    shown = np.zeros((len(rows), counts.max(initial=0)), bool)
    inside = shown.copy()
    if boxes.form is None:
        raise ValueError("there are no lines to cut with.")
    for turn in range(shown.shape[1]):
        own = np.flatnonzero(counts > turn)
        every = np.arange(len(own))
        entry, side = (np.array([ends[place][turn][part] for place in own.tolist()]) for part in (0, 1))
        end = np.array([ends[place][turn][2] for place in own.tolist()])
        least_, most = lower[own], upper[own]
        inside[own, turn] = (least_[every, entry] <= end) & (end <= most[every, entry])
        most[every[side == 0], entry[side == 0]] = end[side == 0]
        least_[every[side == 1], entry[side == 1]] = end[side == 1]
        form = Form(*(part[rows[own]] for part in boxes.form))
        best = best_of(least(form, least_, most), boxes.clause, clauses)
        good = ((best > 0) | ~open_[own]).all(1) & inside[own, turn] & boxes.valid[rows[own]]
        shown[own, turn] = good
        up, down = good & (side == 0), good & (side == 1)
        lower[own[up], entry[up]] = end[up]
        upper[own[down], entry[down]] = end[down]
    return lower, upper, shown, inside
