"""What relations of inputs, rows a · x + d <= 0, leave of a box, in exact numbers."""

from fractions import Fraction

import numpy as np

from .query import Row

_PASSES = 3  # what one relation cuts may let another cut further


def narrowed(box: np.ndarray, relations: tuple[Row, ...]) -> np.ndarray | None:
    """The box [4, inputs] (lower and upper rounded outwards, then inwards) cut to where the relations may hold, ends
    rounded outwards; None where one of them holds nowhere in it."""
    box = box.copy()
    for _ in range(_PASSES):
        moved = False
        for row in relations:
            least = [
                factor * Fraction(float(box[0 if factor > 0 else 1, index])) for index, factor in row.inputs
            ]  # of each term
            room = -row.offset - sum(least, Fraction(0))  # for all terms together
            if room < 0 or (room == 0 and row.strict):
                return None
            for (index, factor), own in zip(row.inputs, least, strict=True):
                moved |= _cut(box, index, (own + room) / factor, upper=factor > 0)
        if not moved:
            break
    return box


def _cut(box: np.ndarray, index: int, end: Fraction, *, upper: bool) -> bool:
    """Whether that moved an end."""
    away = np.inf if upper else -np.inf
    try:
        rounded = float(end)
    except OverflowError:  # beyond any end
        return False
    if Fraction(rounded) != end and (Fraction(rounded) < end) == upper:
        rounded = float(np.nextafter(rounded, away))
    outer, inner = (1, 3) if upper else (0, 2)
    nearer = min if upper else max
    moved = nearer(rounded, box[outer, index]) != box[outer, index]
    box[outer, index], box[inner, index] = nearer(rounded, box[outer, index]), nearer(rounded, box[inner, index])
    return bool(moved)
