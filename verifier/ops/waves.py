"""Smooth activations that bend one way, then another: concave, then convex between two points, then concave again.

As in `smooth.py` a slope m is chosen first, however roughly, and the line's start is computed from f, on the safe side:

    lower start  =  min over [l, u] of  f(z) - m z,   upper start  =  max over [l, u] of  f(z) - m z

Where f' is monotone it passes m in a bracket [a, b] that halvings find. On the convex part f(z) - m z falls up to a,
rises from b on, and is no less in between than the tangent at a allows; on the concave parts the same upside down.
"""

from collections.abc import Callable, Sequence
from math import inf, pi, sqrt

import torch
from torch import Tensor

from ..graph import Node
from ..graph.shapes import GELU_TANH
from .base import Box, Lines, Nonlinear, Params
from .smooth import _CHORD, _chord, _error

_HALVINGS = 16  # of an interval in which a point of tangency is sought
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
        ends = Box(self.value(box.lower), self.value(box.upper))
        convex = Box(_within(self.left, box), _within(self.right, box))
        low, high = self._slopes(box, ends, convex, share)
        rest = self._most(box, convex, low, high)
        below = torch.minimum(ends.lower - low * box.lower, ends.upper - low * box.upper)
        above = torch.maximum(ends.lower - high * box.lower, ends.upper - high * box.upper)
        for end in convex:
            above = torch.maximum(above, self.value(end) - high * end)
        below, above = torch.minimum(below, -rest[0]), torch.maximum(above, torch.maximum(rest[1], rest[2]))
        error = _ERRORS * _error(box, *ends)
        return Lines(low, below - error * (1 + low.abs()), high, above + error * (1 + high.abs()))

    def _slopes(self, box: Box, ends: Box, convex: Box, share: Tensor) -> tuple[Tensor, Tensor]:
        """Below: of a tangent of the convex part that passes below both ends of f. Above: of one of the only concave
        part that passes above the other end. Else of the chord."""
        (l, u), (a, b) = box, convex
        parts = Box(torch.stack([a, a, l, b]), torch.stack([b, b, a, u]))
        at, value = torch.stack([l, u, u, l]), torch.stack([ends[0], ends[1], ends[1], ends[0]])
        wanted = _each(l, [1, 0, 1, 0]).bool()
        found = _bracket(parts, lambda touch: (self._ahead(touch, at) > value) == wanted)
        first, last, left, right = found.upper[0], found.lower[1], found.lower[2], found.upper[3]
        chord = _chord(box, *ends, self.derivative(l))
        low = torch.where(first < last, self.derivative(first + share * (last - first)), chord)
        only_left = (l < a) & (b >= u) & (self._ahead(l, u) > ends[1])
        only_right = (b < u) & (a <= l) & (self._ahead(u, l) > ends[0])
        high = torch.where(only_left, self.derivative(l + share * (left - l)), chord)
        return low, torch.where(only_right, self.derivative(u + share * (right - u)), high)

    def _most(self, box: Box, convex: Box, low: Tensor, high: Tensor) -> Tensor:
        """More than max of low z - f(z) over the convex part, and of f(z) - high z over the one on either side."""
        (l, u), (a, b) = box, convex
        sign, m = _each(low, [-1, 1, 1]), torch.stack([-low, high, high])
        part = Box(torch.stack([a, l, b]), torch.stack([b, a, u]))
        first, last = _bracket(part, lambda z: sign * self.derivative(z) >= m)
        rise = torch.relu(sign * self.derivative(first) - m) * (last - first)
        return torch.maximum(sign * self.value(first) - m * first + rise, sign * self.value(last) - m * last)

    def _ahead(self, touch: Tensor, at: Tensor) -> Tensor:
        """The tangent at one point, evaluated at another."""
        return self.value(touch) + self.derivative(touch) * (at - touch)


def _each(like: Tensor, numbers: Sequence[int]) -> Tensor:
    """One number for each of what is stacked."""
    return like.new_tensor(numbers).reshape(-1, *(1,) * like.ndim)


def _within(point: float, box: Box) -> Tensor:
    """A point, or the end of the box that is next to it."""
    return torch.minimum(torch.maximum(torch.full_like(box.lower, point), box.lower), box.upper)


def _bracket(box: Box, further: Callable[[Tensor], Tensor]) -> Box:
    """Where the answer turns from yes to no: a point of yes, or the lower end, and one of no, or the upper end."""
    with torch.no_grad():
        low, high = box
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            yes = further(middle)
            low, high = torch.where(yes, middle, low), torch.where(yes, high, middle)
    return Box(low, high)


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
