"""The numbers of one input, exactly, and those of them that a runtime can be fed: it takes float32."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """lower <= x <= upper; `above`, `below`: without the lower, the upper end itself."""

    lower: Fraction
    upper: Fraction
    above: bool = False
    below: bool = False

    def nearest(self, value: Fraction) -> Fraction:
        """The number of the interval nearest to `value`; the middle where it comes nearest at an end that is left
        out."""
        found = min(max(value, self.lower), self.upper)
        if (self.above and found == self.lower) or (self.below and found == self.upper):
            return (self.lower + self.upper) / 2
        return found

    def fed(self) -> tuple[np.float32, np.float32]:
        """What the ends, or the middle for one that is left out, are in float32: where the interval holds no float32
        number, all that any number of it rounds to lies between these two."""
        middle = (self.lower + self.upper) / 2
        return rounded(middle if self.above else self.lower), rounded(middle if self.below else self.upper)


def rounded(value: Fraction) -> np.float32:
    """The nearest float32, infinite beyond the largest; of two the even one, as runtimes round."""
    with np.errstate(over="ignore"):
        near = np.float32(float(value))  # rounded twice: right but for what lies halfway
    if not np.isfinite(near):
        return near
    with np.errstate(over="ignore"):
        around = [near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))]
    candidates = [each for each in around if np.isfinite(each)]
    return min(candidates, key=lambda each: (abs(Fraction(float(each)) - value), int(each.view(np.uint32)) & 1))
