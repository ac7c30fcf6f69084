"""Smooth activations that bend one way, then another: concave, then convex between two points, then concave again.

As in `smooth.py` a slope m is chosen first, however roughly, and the line's start is computed from f, on the safe side:

    lower start  =  min over [l, u] of  f(z) - m z,   upper start  =  max over [l, u] of  f(z) - m z

Where f' is monotone it passes m in a bracket [a, b] that halvings find. On the convex part f(z) - m z falls up to a,
rises from b on, and is no less in between than the tangent at a allows; on the concave parts the same upside down.
"""

from collections.abc import Callable
from functools import partial
from math import inf, pi, sqrt

import torch
from torch import Tensor

from ..graph import Node
from ..graph.shapes import GELU_TANH
from .base import Box, Lines, Nonlinear, Params
from .smooth import _CHORD, _chord, _error

_HALVINGS = 20  # of an interval in which a point of tangency is sought
_ERRORS = 4  # of f, in errors of a few operations: each is one of some special functions


class Wave(Nonlinear):
    """f is concave below `left`, convex up to `right`, concave beyond, and falls up to `lowest`, then rises.

    `most`: its Lipschitz constant, rounded up.
    """

    left, right, lowest, most = -inf, inf, -inf, 1.0

    def value(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def derivative(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return self.value(value)

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        ends = self.value(box.lower), self.value(box.upper)
        least, most = self.value(_within(self.lowest, box)), torch.maximum(*ends)
        error = _ERRORS * _error(box, least, most)
        return Box(least - error, most + error)

    def steepest(self, box: Box) -> Tensor:
        return torch.full_like(box.lower, self.most + _CHORD)

    def lines(self, box: Box, slope: Tensor | None) -> Lines:
        """`slope` is where the lines touch, of the points whose tangents bound f: both lines' own, since a form meets
        one of them only."""
        box = Box(box.lower.unsqueeze(1), box.upper.unsqueeze(1))
        share = torch.full_like(box.lower, 0.5) if slope is None else slope
        ends = self.value(box.lower), self.value(box.upper)
        chord = _chord(box, *ends, self.derivative(box.lower))
        convex = Box(_within(self.left, box), _within(self.right, box))
        error = _ERRORS * _error(box, *ends)
        low = self._lower_slope(box, convex, ends, chord, share)
        high = self._upper_slope(box, convex, ends, chord, share)
        start = torch.minimum(ends[0] - low * box.lower, ends[1] - low * box.upper)
        start = torch.minimum(start, -self._most(convex, -low, -1))
        above = torch.maximum(ends[0] - high * box.lower, ends[1] - high * box.upper)
        for end in convex:
            above = torch.maximum(above, self.value(end) - high * end)
        for part in self._concave(box, convex):
            above = torch.maximum(above, self._most(part, high, 1))
        return Lines(low, start - error * (1 + low.abs()), high, above + error * (1 + high.abs()))

    def _lower_slope(self, box: Box, convex: Box, ends: tuple[Tensor, Tensor], chord: Tensor, share: Tensor) -> Tensor:
        """Of a tangent of the convex part that passes below both ends of f; else of the chord."""
        first = _bracket(convex, lambda t: self._ahead(t, box.lower) > ends[0])[1]
        last = _bracket(convex, lambda t: self._ahead(t, box.upper) <= ends[1])[0]
        touch = first + share * (last - first)
        return torch.where(first < last, self.derivative(touch), chord)

    def _upper_slope(self, box: Box, convex: Box, ends: tuple[Tensor, Tensor], chord: Tensor, share: Tensor) -> Tensor:
        """Of a tangent of the only concave part that passes above the other end of f; else of the chord."""
        parts = self._concave(box, convex)
        some = [part.lower < part.upper for part in parts]
        slope = chord
        for place, part in enumerate(parts):
            falling = self.left > -inf and place == 0  # the part on the left, seen from u
            near, far, value = (box.lower, box.upper, ends[1]) if falling else (box.upper, box.lower, ends[0])
            last = _bracket(part, partial(self._passes, far, value, falling))[0 if falling else 1]
            chosen = some[place] & self._passes(far, value, True, near)
            for other in (other for other in range(len(parts)) if other != place):
                chosen = chosen & ~some[other]
            slope = torch.where(chosen, self.derivative(near + share * (last - near)), slope)
        return slope

    def _passes(self, at: Tensor, value: Tensor, above: bool, touch: Tensor) -> Tensor:
        """Whether the tangent at one point passes above, or else below, a value at another."""
        return (self._ahead(touch, at) >= value) == above

    def _ahead(self, touch: Tensor, at: Tensor) -> Tensor:
        """The tangent at one point, evaluated at another."""
        return self.value(touch) + self.derivative(touch) * (at - touch)

    def _concave(self, box: Box, convex: Box) -> list[Box]:
        """The parts of the box on either side of the convex one."""
        left = [] if self.left == -inf else [Box(box.lower, convex.lower)]
        return left if self.right == inf else [*left, Box(convex.upper, box.upper)]

    def _most(self, part: Box, m: Tensor, sign: int) -> Tensor:
        """More than max of sign · f(z) - m z over a part where sign · f is concave."""
        low, high = _bracket(part, lambda z: sign * self.derivative(z) >= m)
        rise = torch.relu(sign * self.derivative(low) - m) * (high - low)
        at_low, at_high = sign * self.value(low) - m * low, sign * self.value(high) - m * high
        return torch.maximum(at_low + rise, at_high)


def _within(point: float, box: Box) -> Tensor:
    """A point, or the end of the box that is next to it."""
    return torch.minimum(torch.maximum(torch.full_like(box.lower, point), box.lower), box.upper)


def _bracket(box: Box, further: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Where the answer turns from yes to no: a point of yes, or the lower end, and one of no, or the upper end."""
    with torch.no_grad():
        low, high = box
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            yes = further(middle)
            low, high = torch.where(yes, middle, low), torch.where(yes, high, middle)
    return low, high


class Elu(Wave):
    """z above 0, exp(z) - 1 below: convex."""

    def value(self, z: Tensor) -> Tensor:
        return torch.relu(z) + torch.expm1(-torch.relu(-z))

    def derivative(self, z: Tensor) -> Tensor:
        return torch.exp(-torch.relu(-z))


class Erf(Wave):
    """The integral of 2/sqrt(pi) exp(-t²) from 0 to z."""

    right, most = 0.0, 1.1284

    def value(self, z: Tensor) -> Tensor:
        return torch.erf(z)

    def derivative(self, z: Tensor) -> Tensor:
        return 2 / sqrt(pi) * torch.exp(-z * z)


class Softsign(Wave):
    """z / (1 + |z|)."""

    right = 0.0

    def value(self, z: Tensor) -> Tensor:
        return z / (1 + z.abs())

    def derivative(self, z: Tensor) -> Tensor:
        return (1 + z.abs()) ** -2


class Gelu(Wave):
    """z times the share of a normal distribution that lies below z."""

    left, right, lowest, most = -sqrt(2), sqrt(2), -0.7517915246935645, 1.129

    def value(self, z: Tensor) -> Tensor:
        return z * torch.special.erfc(-z / sqrt(2)) / 2

    def derivative(self, z: Tensor) -> Tensor:
        return torch.special.erfc(-z / sqrt(2)) / 2 + z * torch.exp(-z * z / 2) / sqrt(2 * pi)


class GeluTanh(Wave):
    """z (1 + tanh(k (z + c z³))) / 2, near `Gelu`, with k and c of `GELU_TANH`."""

    k, c = GELU_TANH
    left, right, lowest, most = -1.4185039771280709, 1.4185039771280709, -0.7524614044087226, 1.129

    def value(self, z: Tensor) -> Tensor:
        return z * torch.sigmoid(2 * self.k * (z + self.c * z**3))

    def derivative(self, z: Tensor) -> Tensor:
        z = z.clamp(-30, 30)  # 0 or 1 beyond
        inner = 2 * self.k * (z + self.c * z**3)
        bend = torch.sigmoid(inner) * torch.sigmoid(-inner)
        return torch.sigmoid(inner) + z * bend * 2 * self.k * (1 + 3 * self.c * z * z)


class Silu(Wave):
    """z sigmoid(z)."""

    left, right, lowest, most = -2.3993572805154677, 2.3993572805154677, -1.2784645427610738, 1.1

    def value(self, z: Tensor) -> Tensor:
        return z * torch.sigmoid(z)

    def derivative(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z) * (1 + z * torch.sigmoid(-z))


class Mish(Wave):
    """z tanh(log(1 + exp(z)))."""

    left, right, lowest, most = -2.256376396360793, 1.4905711794854285, -1.1924312145154952, 1.089

    def value(self, z: Tensor) -> Tensor:
        return z * torch.tanh(_softplus(z))

    def derivative(self, z: Tensor) -> Tensor:
        inner = torch.tanh(_softplus(z))
        return inner + z * (1 - inner * inner) * torch.sigmoid(z)


def _softplus(z: Tensor) -> Tensor:
    return torch.relu(z) + torch.log1p(torch.exp(-z.abs()))
