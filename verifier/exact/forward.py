"""A network's values in exact arithmetic, over boxes of its input or at a point: centres and radii of rationals.

    piecewise linear: the values themselves at a point, the interval image over a box, without any rounding
    smooth: enclosed by decimals of many digits, whose elementary functions round correctly

Centres that outgrow `most_bits` are rounded, and their radii take up what that takes away.
"""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .. import deadline
from ..engine.steps import Affine, Bend
from .linear import Linear
from .rational import BeyondExactError, Exact, aligned, bits, of_fractions

_DIGITS, _WIDENED = 80, Fraction(1, 10**60)  # of the decimals; more than a few of their roundings
_SMOOTH_BITS = 200  # of what is taken from them
_FLAT = 200  # beyond it e^-z is below the widening


class Enclosure(NamedTuple):
    """centre ± radius, of one unit and shape [B, n]; radius None stands for 0."""

    centre: Exact
    radius: np.ndarray | None = None

    def ends(self) -> tuple[list[Fraction], list[Fraction]]:
        low, high = self._ends()
        return Exact(low, self.centre.unit).fractions(), Exact(high, self.centre.unit).fractions()

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        numbers = self.centre.numbers
        return (numbers, numbers) if self.radius is None else (numbers - self.radius, numbers + self.radius)


def enclosure(lower: list[Fraction], upper: list[Fraction]) -> Enclosure:
    """Of a batch of one, from the ends of every entry."""
    both = of_fractions([*lower, *upper], (2, 1, len(lower)))
    return _between(both.numbers[0], both.numbers[1], both.unit)


def evaluated(linear: Linear, box: Enclosure, *, most_bits: int) -> dict[int, Enclosure]:
    """Every value of the engine, by number. Raises `BeyondExactError` where a nonlinearity has no exact rule."""
    values = {0: box}
    for step in linear.engine.steps:
        deadline.check()
        values[step.out] = _rounded(through(linear, step, values), most_bits)
    return values


def through(linear: Linear, step: Affine | Bend, values: Mapping[int, Enclosure]) -> Enclosure:
    """The value that a step makes of others."""
    if isinstance(step, Bend):
        kind = linear.kinds[step.name]
        if kind not in _ENTRYWISE:
            raise BeyondExactError(f"{kind} has no exact rule")
        return _ENTRYWISE[kind](values[step.into])
    given, offset = [values[number] for number in step.inputs], linear.offset(step)
    parts = []
    for place, centre in enumerate(linear.forward(step, [each.centre for each in given])):
        radius = given[place].radius
        if radius is not None:
            # of the centre's unit, as the radius was
            radius = linear.spread(step, place, Exact(radius, given[place].centre.unit)).numbers
        parts.append(Enclosure(centre, radius))
    return _sum(parts if offset is None else [*parts, Enclosure(offset)])


def _sum(parts: list[Enclosure]) -> Enclosure:
    """Shapes may broadcast."""
    centres = aligned(*(part.centre for part in parts))
    first, *rest = (each.numbers for each in centres)
    centre = Exact(sum(rest, first), centres[0].unit)
    radii = [part.radius * int(part.centre.unit / centre.unit) for part in parts if part.radius is not None]
    return Enclosure(centre, sum(radii[1:], radii[0]) if radii else None)


def _relu(value: Enclosure) -> Enclosure:
    low, high = value._ends()
    if value.radius is None:
        return Enclosure(Exact(np.maximum(low, 0), value.centre.unit))
    return _between(np.maximum(low, 0), np.maximum(high, 0), value.centre.unit)


def _square(value: Enclosure) -> Enclosure:
    low, high = value._ends()
    unit = value.centre.unit**2
    if value.radius is None:
        return Enclosure(Exact(low * low, unit))
    least = np.where((low <= 0) & (high >= 0), 0, np.minimum(low * low, high * high))
    return _between(least, np.maximum(low * low, high * high), unit)


def _smooth(function: Callable[[Fraction], Fraction], most: Fraction | None) -> Callable[[Enclosure], Enclosure]:
    """Of a function that rises, is never negative and never above `most`, by values right to `_WIDENED`."""

    def applied(value: Enclosure) -> Enclosure:
        unit = Fraction(1, 1 << _SMOOTH_BITS)
        found = []
        for ends, sign, direction in zip(value.ends(), (-1, 1), (ROUND_FLOOR, ROUND_CEILING), strict=True):
            numbers = np.empty(len(ends), object)
            for place, z in enumerate(ends):
                own = max(Fraction(0), function(z) + sign * _WIDENED)
                share = (own if most is None else min(own, most)) / unit
                up = direction is ROUND_CEILING
                numbers[place] = (
                    -(-share.numerator // share.denominator) if up else share.numerator // share.denominator
                )
            found.append(numbers.reshape(value.centre.numbers.shape))
        return _between(found[0], found[1], unit)

    return applied


def _decimal(z: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(z.numerator), Decimal(z.denominator))


def _sigmoid(z: Fraction) -> Fraction:
    if abs(z) > _FLAT:
        return Fraction(int(z > 0))
    return Fraction(_CONTEXT.divide(Decimal(1), _CONTEXT.add(1, _CONTEXT.exp(-_decimal(z)))))


def _softplus(z: Fraction) -> Fraction:
    if abs(z) > _FLAT:
        return max(z, Fraction(0))
    return Fraction(_CONTEXT.ln(_CONTEXT.add(1, _CONTEXT.exp(_decimal(z)))))


_CONTEXT = Context(prec=_DIGITS)
_ENTRYWISE: Mapping[str, Callable[[Enclosure], Enclosure]] = {
    "Relu": _relu,
    "Sigmoid": _smooth(_sigmoid, Fraction(1)),
    "Softplus": _smooth(_softplus, None),
    "Square": _square,
}


def _between(low: np.ndarray, high: np.ndarray, unit: Fraction) -> Enclosure:
    if (low == high).all():
        return Enclosure(Exact(low, unit))
    return Enclosure(Exact(low + high, unit / 2), high - low)


def _rounded(value: Enclosure, most_bits: int) -> Enclosure:
    beyond = bits(value.centre.numbers) - most_bits
    if beyond <= 0:
        return value
    centre = Exact(value.centre.numbers >> beyond, value.centre.unit * (1 << beyond))
    radius = 1 if value.radius is None else -(-value.radius >> beyond) + 1
    return Enclosure(centre, np.zeros(centre.numbers.shape, object) + radius)
