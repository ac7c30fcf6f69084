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
from ..graph import Graph, Node
from ..ops import Params
from .rational import BeyondExactError, Exact, Linear, added, aligned, bits, of_fractions, reduced

_DIGITS, _WIDENED = 80, Fraction(1, 10**60)  # of the decimals; more than a few of their roundings
_SMOOTH_BITS = 200  # of what is taken from them
_FLAT = 200  # beyond it e^-z is below the widening


class Enclosure(NamedTuple):
    """centre ± radius, of one unit and shape [B, *v]; radius None stands for 0."""

    centre: Exact
    radius: np.ndarray | None = None

    def ends(self) -> tuple[list[Fraction], list[Fraction]]:
        low, high = self._ends()
        return Exact(low, self.centre.unit).fractions(), Exact(high, self.centre.unit).fractions()

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        numbers = self.centre.numbers
        return (numbers, numbers) if self.radius is None else (numbers - self.radius, numbers + self.radius)


def enclosure(lower: list[Fraction], upper: list[Fraction], shape: tuple[int, ...]) -> Enclosure:
    """Of a batch of one, from the ends of every entry of *v = shape."""
    both = of_fractions([*lower, *upper], (2, 1, *shape))
    return _between(both.numbers[0], both.numbers[1], both.unit)


def evaluated(
    graph: Graph, params: Params, box: Enclosure, *, most_bits: int, linear: Linear | None = None
) -> dict[str, Enclosure]:
    """Every value of the graph, by name. Raises `BeyondExactError` where an operator has no exact rule."""
    linear, values = linear or Linear(params), {graph.input: box}
    for node in graph.nodes:
        deadline.check()
        found = through_node(graph, linear, node, [values[name] for name in node.inputs])
        values[node.output] = _rounded(found, most_bits)
    return values


def through_node(graph: Graph, linear: Linear, node: Node, given: list[Enclosure]) -> Enclosure:
    if node.op in _ENTRYWISE:
        return _ENTRYWISE[node.op](given[0])
    if node.op in ("Add", "Sub"):
        return _sum(node, given if len(given) == 2 else [given[0], Enclosure(linear.constant(node.params[0]))])
    if node.op in ("Mul", "Div"):
        return _scaled(given[0], linear.constant(node.params[0]), divide=node.op == "Div")
    centre, radius = linear.forward(node, given[0].centre), None
    if given[0].radius is not None:
        radius = linear.spread(node, Exact(given[0].radius, given[0].centre.unit)).numbers
    bias = linear.offset(node)
    if bias is None:
        return Enclosure(centre, radius)
    return _sum(node, [Enclosure(centre, radius), Enclosure(placed(bias, node, graph.shapes[node.output]))])


def placed(bias: Exact, node: Node, shape: tuple[int, ...]) -> Exact:
    """A layer's bias where it stands in the output: along the channels of a convolution, else along the last axis."""
    along = len(shape) - 1 if node.op in ("Conv", "ConvTranspose") else 0
    return Exact(bias.numbers.reshape(-1, *[1] * along), bias.unit)


def _sum(node: Node, parts: list[Enclosure]) -> Enclosure:
    sign = -1 if node.op == "Sub" else 1
    first, second = aligned(*(part.centre for part in parts))
    radii = [
        part.radius * int(part.centre.unit / first.unit) for part in parts if part.radius is not None
    ]  # fmt: skip
    centre = added(first, second, sign)
    if not radii:
        return Enclosure(centre)
    return Enclosure(centre, np.broadcast_to(sum(radii[1:], radii[0]), centre.numbers.shape))


def _scaled(value: Enclosure, factor: Exact, *, divide: bool) -> Enclosure:
    if divide:
        factor = reciprocal(factor)
    radius = None if value.radius is None else value.radius * abs(factor.numbers)
    return Enclosure(Exact(value.centre.numbers * factor.numbers, value.centre.unit * factor.unit), radius)


def reciprocal(value: Exact) -> Exact:
    """1 / v, entry by entry."""
    if (value.numbers == 0).any():
        raise BeyondExactError("a division by zero")
    return reduced(of_fractions([1 / each for each in value.fractions()], value.numbers.shape))


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
