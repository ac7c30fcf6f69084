"""Smooth activations that bend one way, then another: concave, then convex between two points, then concave again.

As in `smooth.py` a slope m is chosen first, however roughly, and the line's start is computed from f, on the safe side:

    lower start  =  min over [l, u] of  f(z) - m z,   upper start  =  max over [l, u] of  f(z) - m z

Where f' is monotone it passes m in a bracket [a, b] that halvings find. On the convex part f(z) - m z falls up to a,
rises from b on, and is no less in between than the tangent at a allows; on the concave parts the same upside down.
"""

from collections.abc import Callable
from math import inf, pi, sqrt

from ..graph.shapes import GELU_TANH
from .base import Array, Box, Function, Lines, each, quiet, space
from .smooth import CHORD, chord_of, error_of, softplus

_HALVINGS = 16  # of an interval in which a point of tangency is sought
_ERRORS = 4  # of f, in errors of a few operations: each is one of some special functions


class Wave(Function):
    """f is concave below `left`, convex up to `right`, concave beyond, and falls up to `lowest`, then rises.

    `most`: its Lipschitz constant, rounded up.
    """

    left, right, lowest, most = -inf, inf, -inf, 1.0

    @quiet
    def interval(self, box: Box) -> Box:
        xp = space(box.lower)
        ends = self.forward(box.lower), self.forward(box.upper)
        least, most = self.forward(_within(self.lowest, box)), xp.maximum(*ends)
        error = _ERRORS * error_of(box, least, most)
        return Box(least - error, most + error)

    def steepest(self, box: Box) -> Array:
        return space(box.lower).full_like(box.lower, self.most + CHORD)

    @quiet
    def lines(self, box: Box, slope: Array | None) -> Lines:
        """`slope` is where the lines touch, of the points whose tangents bound f: both lines' own, since a form meets
        one of them only."""
        xp, box = space(box.lower), Box(box.lower[:, None], box.upper[:, None])
        share = xp.full_like(box.lower, 0.5) if slope is None else slope
        ends = Box(self.forward(box.lower), self.forward(box.upper))
        convex = Box(_within(self.left, box), _within(self.right, box))
        low, high = self._slopes(box, ends, convex, share)
        rest = self._most(box, convex, low, high)
        below = xp.minimum(ends.lower - low * box.lower, ends.upper - low * box.upper)
        above = xp.maximum(ends.lower - high * box.lower, ends.upper - high * box.upper)
        for end in convex:
            above = xp.maximum(above, self.forward(end) - high * end)
        below, above = xp.minimum(below, -rest[0]), xp.maximum(above, xp.maximum(rest[1], rest[2]))
        error = _ERRORS * error_of(box, *ends)
        return Lines(low, below - error * (1 + abs(low)), high, above + error * (1 + abs(high)))

    def _slopes(self, box: Box, ends: Box, convex: Box, share: Array) -> tuple[Array, Array]:
        """Below: of a tangent of the convex part that passes below both ends of f. Above: of one of the only concave
        part that passes above the other end. Else of the chord."""
        xp, (l, u), (a, b) = space(box.lower), box, convex
        parts = Box(xp.stack([a, a, l, b]), xp.stack([b, b, a, u]))
        at, value = xp.stack([l, u, u, l]), xp.stack([ends[0], ends[1], ends[1], ends[0]])
        wanted = each(l, [1, 0, 1, 0]) > 0
        found = _bracket(parts, lambda touch: (self._ahead(touch, at) > value) == wanted)
        first, last, left, right = found.upper[0], found.lower[1], found.lower[2], found.upper[3]
        chord = chord_of(box, *ends, self.slope(l))
        low = xp.where(first < last, self.slope(first + share * (last - first)), chord)
        only_left = (l < a) & (b >= u) & (self._ahead(l, u) > ends[1])
        only_right = (b < u) & (a <= l) & (self._ahead(u, l) > ends[0])
        high = xp.where(only_left, self.slope(l + share * (left - l)), chord)
        return low, xp.where(only_right, self.slope(u + share * (right - u)), high)

    def _most(self, box: Box, convex: Box, low: Array, high: Array) -> Array:
        """More than max of low z - f(z) over the convex part, and of f(z) - high z over the one on either side."""
        xp, (l, u), (a, b) = space(box.lower), box, convex
        sign, m = each(low, [-1, 1, 1]), xp.stack([-low, high, high])
        part = Box(xp.stack([a, l, b]), xp.stack([b, a, u]))
        first, last = _bracket(part, lambda z: sign * self.slope(z) >= m)
        rise = xp.relu(sign * self.slope(first) - m) * (last - first)
        return xp.maximum(sign * self.forward(first) - m * first + rise, sign * self.forward(last) - m * last)

    def _ahead(self, touch: Array, at: Array) -> Array:
        """The tangent at one point, evaluated at another."""
        return self.forward(touch) + self.slope(touch) * (at - touch)


def _within(point: float, box: Box) -> Array:
    """A point, or the end of the box that is next to it."""
    xp = space(box.lower)
    return xp.minimum(xp.maximum(xp.full_like(box.lower, point), box.lower), box.upper)


def _bracket(box: Box, further: Callable[[Array], Array]) -> Box:
    """Where the answer turns from yes to no: a point of yes, or the lower end, and one of no, or the upper end."""
    xp = space(box.lower)
    with xp.no_grad():
        low, high = box
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            yes = further(middle)
            low, high = xp.where(yes, middle, low), xp.where(yes, high, middle)
    return Box(low, high)


class Elu(Wave):
    """z above 0, exp(z) - 1 below: convex."""

    def forward(self, z: Array) -> Array:
        xp = space(z)
        return xp.relu(z) + xp.expm1(-xp.relu(-z))

    def slope(self, z: Array) -> Array:
        xp = space(z)
        return xp.exp(-xp.relu(-z))


class Erf(Wave):
    """The integral of 2/sqrt(pi) exp(-t²) from 0 to z."""

    right, most = 0.0, 1.1284

    def forward(self, z: Array) -> Array:
        return space(z).erf(z)

    @quiet
    def slope(self, z: Array) -> Array:
        return 2 / sqrt(pi) * space(z).exp(-z * z)


class Softsign(Wave):
    """z / (1 + |z|)."""

    right = 0.0

    def forward(self, z: Array) -> Array:
        return z / (1 + abs(z))

    @quiet
    def slope(self, z: Array) -> Array:
        size = 1 + abs(z)
        return 1 / (size * size)


class Gelu(Wave):
    """z times the share of a normal distribution that lies below z."""

    left, right, lowest, most = -sqrt(2), sqrt(2), -0.7517915246935645, 1.129

    def forward(self, z: Array) -> Array:
        return z * space(z).erfc(-z / sqrt(2)) / 2

    @quiet
    def slope(self, z: Array) -> Array:
        xp = space(z)
        return xp.erfc(-z / sqrt(2)) / 2 + z * xp.exp(-z * z / 2) / sqrt(2 * pi)


class GeluTanh(Wave):
    """z (1 + tanh(k (z + c z³))) / 2, near `Gelu`, with k and c of `GELU_TANH`."""

    k, c = GELU_TANH
    left, right, lowest, most = -1.4185039771280709, 1.4185039771280709, -0.7524614044087226, 1.129

    @quiet
    def forward(self, z: Array) -> Array:
        return z * space(z).sigmoid(2 * self.k * (z + self.c * (z * z * z)))

    def slope(self, z: Array) -> Array:
        xp = space(z)
        z = xp.clamp(z, -30, 30)  # 0 or 1 beyond
        inner = 2 * self.k * (z + self.c * (z * z * z))
        bend = xp.sigmoid(inner) * xp.sigmoid(-inner)
        return xp.sigmoid(inner) + z * bend * 2 * self.k * (1 + 3 * self.c * z * z)


class Silu(Wave):
    """z sigmoid(z)."""

    left, right, lowest, most = -2.3993572805154677, 2.3993572805154677, -1.2784645427610738, 1.1

    def forward(self, z: Array) -> Array:
        return z * space(z).sigmoid(z)

    def slope(self, z: Array) -> Array:
        xp = space(z)
        return xp.sigmoid(z) * (1 + z * xp.sigmoid(-z))


class Mish(Wave):
    """z tanh(log(1 + exp(z)))."""

    left, right, lowest, most = -2.256376396360793, 1.4905711794854285, -1.1924312145154952, 1.089

    def forward(self, z: Array) -> Array:
        return z * space(z).tanh(softplus(z))

    def slope(self, z: Array) -> Array:
        xp = space(z)
        inner = xp.tanh(softplus(z))
        return inner + z * (1 - inner * inner) * xp.sigmoid(z)
