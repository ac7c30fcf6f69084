"""Boxes of all tensors, for regions that are boxes themselves, and what rounding adds at every step.

    lower <= v <= upper for every value v that a tensor takes while the input stays in its box, in the arithmetic asked
    about. charge: how far the output of an affine step may be off W v + b.

A value beyond the largest number of the arithmetic, or a bound that is no number, leaves the region unproved: `valid`.
"""

from dataclasses import dataclass, field

import numpy as np

from .builder import Step
from .curves import Greatest, Unary
from .network import INPUT, Network
from .rounding import OUTWARD, TINY, UNIT, Arithmetic, charge
from .steps import Affine, Array

_GREATEST = 3.99  # a factor times the smallest normal number, of the greatest that is finite


@dataclass(eq=False)
class Boxes:
    """Of B regions. lower, upper [B, n] by tensor; charge [B, n] by tensor, of affine steps that round; off [B, n] by
    tensor, of nonlinear ones; valid [B]."""

    network: Network
    arithmetic: Arithmetic
    lower: dict[int, Array] = field(default_factory=dict)
    upper: dict[int, Array] = field(default_factory=dict)
    charge: dict[int, Array] = field(default_factory=dict)
    valid: Array = field(default_factory=lambda: np.ones(0, bool))

    def size(self, tensor: int) -> Array:
        """Largest sizes of its entries [B, n]."""
        return np.maximum(np.abs(self.lower[tensor]), np.abs(self.upper[tensor]))

    def put(self, tensor: int, lower: Array, upper: Array) -> None:
        """A tensor's box; bounds that are no numbers, or beyond the largest one, make a region invalid."""
        inside = (lower >= -self.arithmetic.largest) & (upper <= self.arithmetic.largest) & (lower <= upper)
        self.valid &= inside.all(1)
        self.lower[tensor], self.upper[tensor] = lower, upper


def region_boxes(network: Network, arithmetic: Arithmetic, lower: Array, upper: Array) -> Boxes:
    """The inputs' boxes alone; `step_box` goes on from there."""
    boxes = Boxes(network, arithmetic, valid=np.ones(len(lower), bool))
    boxes.put(INPUT, lower.astype(np.float64), upper.astype(np.float64))
    return boxes


def step_box(boxes: Boxes, step: Step) -> None:
    """The box of a step's output, from that of its inputs."""
    if isinstance(step, Unary | Greatest):
        _bend(boxes, step)
    elif step.moves:
        bias = 0.0 if step.bias is None else step.bias
        ends = [step.forward([end[number] for number in step.inputs]) + bias for end in (boxes.lower, boxes.upper)]
        boxes.put(step.output, ends[0], ends[1])
    else:
        _affine(boxes, step)


def _affine(boxes: Boxes, step: Affine) -> None:
    """W mid + b, |W| rad, and the charge for |W| (|mid| + rad) + |b|."""
    lower, upper = ([end[number] for number in step.inputs] for end in (boxes.lower, boxes.upper))
    middle = [l / 2 + u / 2 for l, u in zip(lower, upper, strict=True)]
    reach = [np.maximum(u - m, m - l) * (1 + 4 * UNIT) + TINY for l, u, m in zip(lower, upper, middle, strict=True)]
    centre, radius = step.forward(middle), step.size(reach)
    size = step.size([np.abs(m) for m in middle]) + radius
    if step.bias is not None and step.bias_size is not None:
        centre, size = centre + step.bias, size + step.bias_size
    flushed, folded = np.zeros((1, 1)), boxes.network.folded[step.output]
    if boxes.arithmetic.unit and step.products:  # weights, folded or not, may be taken for 0
        lost = sum(boxes.size(number).max(1) for number in folded.sources)
        flushed = step.size([np.ones((1, value.shape[1])) for value in lower]) + step.products * lost[:, None]
        boxes.valid &= folded.greatest * boxes.arithmetic.smallest <= _GREATEST
    products = step.products + (boxes.network.room.get(step.output, 0) if step.products else 0)
    off = charge(boxes.arithmetic, size, products, centre.shape[1], flushed)
    boxes.charge[step.output] = off
    boxes.valid &= (size * OUTWARD + off <= boxes.arithmetic.largest).all(1)  # sums on the way, in any order
    wide = radius + off  # the charge is for what rounds in the centre and the radius, too
    boxes.put(step.output, centre - wide, centre + wide)


def _bend(boxes: Boxes, step: Unary | Greatest) -> None:
    lower, upper = boxes.lower[step.input], boxes.upper[step.input]
    if isinstance(step, Greatest):
        low, high = step.value(lower), step.value(upper)
    else:
        low, high = step.curve.image(lower, upper)
    off = bend_off(boxes, step, np.maximum(np.abs(low), np.abs(high)))
    boxes.put(step.output, low - off, high + off)


def bend_off(boxes: Boxes, step: Unary | Greatest, size: Array) -> Array | float:
    """How far a runtime's value may be off the function's: what the function rounds, and what is flushed to 0."""
    arithmetic = boxes.arithmetic
    own = step.curve.off(arithmetic.unit, size) if isinstance(step, Unary) else 0.0
    return (own + 2 * arithmetic.smallest) * OUTWARD


def greatest_lines(step: Greatest, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """Of each group: the entry with the greatest lower end, [L, n], which is the lower line; and where that is not all
    of it (`bent` [L, n]), the greatest upper end as a constant upper line."""
    low, high = step.padded(lower, -np.inf)[:, step.groups], step.padded(upper, -np.inf)[:, step.groups]
    best = low.argmax(2)
    floor = np.take_along_axis(low, best[..., None], 2)[..., 0]
    np.put_along_axis(high_others := high.copy(), best[..., None], -np.inf, 2)
    bent = high_others.max(2) > floor
    places = np.take_along_axis(np.broadcast_to(step.groups, low.shape), best[..., None], 2)[..., 0]
    return places, bent, high.max(2)
