"""Nonlinearities that bend everywhere: Sigmoid, Softplus and Square, between a chord and a tangent.

A slope m is chosen first, then the start of the line with that slope is computed from f itself and moved outwards by
more than the arithmetic can err: however roughly m was found, the line is sound.

    lower start  =  min over [l, u] of  f(z) - m z,   upper start  =  max over [l, u] of  f(z) - m z
"""

import torch
from torch import Tensor

from ..graph import Node
from .base import Box, Lines, Nonlinear, Params

_HALVINGS = 16  # of the interval in which a point of tangency is sought
_NARROW = 1e3  # times eps: a relative width of boxes below which a chord is no longer taken
_CHORD = 2 / _NARROW  # what a chord's slope may err by, relative to f's size by the box's place


def _error(box: Box, *values: Tensor) -> Tensor:
    """More than the rounding of a few operations on these values, and on products of a slope with the box's ends."""
    size = torch.maximum(box.lower.abs(), box.upper.abs()) + 1
    for value in values:
        size = size + value.abs()
    return 8 * torch.finfo(size.dtype).eps * size


def _chord(box: Box, low: Tensor, high: Tensor, narrow: Tensor) -> Tensor:
    """(f(u) - f(l)) / (u - l), or the slope `narrow` where the box is too narrow to divide by."""
    width = box.upper - box.lower
    wide = width > _NARROW * torch.finfo(width.dtype).eps * (1 + box.lower.abs() + box.upper.abs())
    return torch.where(wide, (high - low) / torch.where(wide, width, torch.ones_like(width)), narrow)


class Convex(Nonlinear):
    """A convex f: below it every tangent, above it the chord. `slope` is where the tangent touches, l at 0, u at 1."""

    def value(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def derivative(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return self.value(value)

    def lines(self, box: Box, slope: Tensor | None) -> Lines:
        box = Box(box.lower.unsqueeze(1), box.upper.unsqueeze(1))
        touch = box.lower + (0.5 if slope is None else slope) * (box.upper - box.lower)
        touch = torch.minimum(torch.maximum(touch, box.lower), box.upper)
        at, tangent = self.value(touch), self.derivative(touch)
        low, high = self.value(box.lower), self.value(box.upper)
        chord = _chord(box, low, high, tangent)
        largest = torch.maximum(low.abs(), high.abs())
        lower = at - tangent * touch - _error(box, at) * (1 + tangent.abs())
        upper = torch.maximum(low - chord * box.lower, high - chord * box.upper)
        return Lines(tangent, lower, chord, upper + _error(box, largest) * (1 + chord.abs()))


class Softplus(Convex):
    """log(1 + exp(z))."""

    def value(self, z: Tensor) -> Tensor:
        return torch.relu(z) + torch.log1p(torch.exp(-z.abs()))

    def derivative(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z)

    def steepest(self, box: Box) -> Tensor:
        return self.derivative(box.upper) + _CHORD

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        low, high = self.value(box.lower), self.value(box.upper)
        return Box(low - _error(box, low), high + _error(box, high))


class Square(Convex):
    """z²."""

    def value(self, z: Tensor) -> Tensor:
        return z * z

    def derivative(self, z: Tensor) -> Tensor:
        return 2 * z

    def steepest(self, box: Box) -> Tensor:
        size = torch.maximum(box.lower.abs(), box.upper.abs())
        return (2 + _CHORD) * size + _CHORD

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        nearest = torch.relu(box.lower) + torch.relu(-box.upper)
        high = self.value(torch.maximum(box.lower.abs(), box.upper.abs()))
        return Box(self.value(nearest) * (1 - 4 * torch.finfo(high.dtype).eps), high + _error(box, high))


class Sigmoid(Nonlinear):
    """1 / (1 + exp(-z)): convex below 0, concave above, and f(-z) = 1 - f(z)."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return torch.sigmoid(value)

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        low, high = torch.sigmoid(box.lower), torch.sigmoid(box.upper)
        error = 8 * torch.finfo(low.dtype).eps
        return Box(torch.relu(low - error), (high + error).clamp(max=1))

    def steepest(self, box: Box) -> Tensor:
        nearest = torch.minimum(torch.maximum(torch.zeros_like(box.lower), box.lower), box.upper)
        return self._derivative(nearest) + _CHORD

    def lines(self, box: Box, slope: Tensor | None) -> Lines:
        """`slope` is where a line touches, of the points where a tangent or chord bounds f from that side: both lines'
        own, since a form meets one of them only."""
        box = Box(box.lower.unsqueeze(1), box.upper.unsqueeze(1))
        slope = self.start_slope(box) if slope is None else slope
        low, low_start = self._below(box, slope)
        high, start = self._below(Box(-box.upper, -box.lower), slope)
        return Lines(low, low_start, high, 1 - start)

    def start_slope(self, box: Box) -> Tensor:
        """The middle where f bends one way only; else the tangents that also pass through an end of f."""
        return torch.where((box.upper <= 0) | (box.lower >= 0), 0.5, 1.0).to(box.lower.dtype)

    def _below(self, box: Box, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Slope and start of a line below f."""
        low, high = torch.sigmoid(box.lower), torch.sigmoid(box.upper)
        last = torch.where(box.upper <= 0, box.upper, torch.maximum(self._touching(box), box.lower))
        touch = box.lower + slope * (last - box.lower)
        tangent = self._derivative(touch)
        chord = _chord(box, low, high, tangent)
        # where even the tangent at l passes above (u, f(u)), the chord lies below f
        line = torch.where((box.lower >= 0) | (self._derivative(box.lower) >= chord), chord, tangent)
        line = torch.where(box.upper <= 0, tangent, line)
        ends = torch.minimum(low - line * box.lower, high - line * box.upper)
        inner = self._bottom(line.detach(), box)
        start = torch.minimum(ends, torch.sigmoid(inner) - line * inner)
        return line, start - _error(box)

    @staticmethod
    def _derivative(z: Tensor) -> Tensor:
        return torch.sigmoid(z) * torch.sigmoid(-z)

    def _touching(self, box: Box) -> Tensor:
        """About where in [l, 0] a tangent passes through (u, f(u)); l where none does."""
        with torch.no_grad():
            left, right = box.lower.clamp(max=0), torch.zeros_like(box.lower)
            target = torch.sigmoid(box.upper)
            for _ in range(_HALVINGS):
                middle = (left + right) / 2
                above = torch.sigmoid(middle) + self._derivative(middle) * (box.upper - middle) > target
                left, right = torch.where(above, left, middle), torch.where(above, middle, right)
        return left

    @staticmethod
    def _bottom(line: Tensor, box: Box) -> Tensor:
        """The point of [l, u] where f(z) - m z is least inside of it: f'(z) = m on the convex side."""
        m = line.clamp(torch.finfo(line.dtype).tiny, 0.25)
        root = torch.sqrt(1 - 4 * m)
        z = torch.log(m) + torch.log(4 / (1 + root) ** 2)
        return torch.minimum(torch.maximum(z, box.lower), box.upper).detach()
