"""What relations of inputs, rows a · x + d <= 0, leave of a box, in exact numbers."""

from fractions import Fraction

import numpy as np

from .interval import rounded
from .query import Row, inward

_PASSES = 3  # what one relation cuts may let another cut further


def narrowed(box: np.ndarray, relations: tuple[Row, ...]) -> np.ndarray | None:
    """The box [4, inputs] (lower and upper rounded outwards, then inwards) cut to where the relations may hold, ends
    rounded outwards; None where one of them holds nowhere in it, nor at what its inputs are fed.

    An input that would be left without a float32 number keeps its ends.
    """
    given, box = box, box.copy()
    fed = {index: _fed(box[:, index]) for row in relations for index, _ in row.inputs}
    for _ in range(_PASSES):
        moved = False
        for row in relations:
            least = [factor * _end(box, fed, index, upper=factor < 0) for index, factor in row.inputs]  # of each term
            room = -row.offset - sum(least, Fraction(0))  # for all terms together
            if room < 0 or (room == 0 and row.strict):
                return None
            for (index, factor), own in zip(row.inputs, least, strict=True):
                if fed[index] is None:
                    moved |= _cut(box, index, (own + room) / factor, upper=factor > 0)
        if not moved:
            break
    lowest, highest = inward(box[2], box[3])
    for index, beside in fed.items():
        if beside is None and lowest[index] > highest[index]:
            box[:, index] = given[:, index]
    return box


def _fed(ends: np.ndarray) -> tuple[float, float] | None:
    """Of an input without a float32 number in it those that it is fed; None of others."""
    (least,), (most,) = inward(ends[2:3], ends[3:4])
    if least <= most:
        return None
    return float(rounded(Fraction(float(ends[0])))), float(rounded(Fraction(float(ends[1]))))


def _end(box: np.ndarray, fed: dict[int, tuple[float, float] | None], index: int, *, upper: bool) -> Fraction:
    """Of the input, with what it is fed."""
    own, beside = float(box[int(upper), index]), fed[index]
    if beside is not None and np.isfinite(beside).all():
        own = max(own, beside[1]) if upper else min(own, beside[0])
    return Fraction(own)


def _cut(box: np.ndarray, index: int, end: Fraction, *, upper: bool) -> bool:
    """Whether that moved an end."""
    try:
        nearest = float(end)
    except OverflowError:  # beyond any end
        return False
    if Fraction(nearest) != end and (Fraction(nearest) < end) == upper:
        nearest = float(np.nextafter(nearest, np.inf if upper else -np.inf))
    outer, inner = (1, 3) if upper else (0, 2)
    nearer = min if upper else max
    moved = nearer(nearest, box[outer, index]) != box[outer, index]
    box[outer, index], box[inner, index] = nearer(nearest, box[outer, index]), nearer(nearest, box[inner, index])
    return bool(moved)
