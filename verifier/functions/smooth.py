"""Nonlinearities that bend everywhere: Sigmoid, Softplus and Square, between a chord and a tangent.

A slope m is chosen first, then the start of the line with that slope is computed from f itself and moved outwards by
more than the arithmetic can err: however roughly m was found, the line is sound.

    lower start  =  min over [l, u] of  f(z) - m z,   upper start  =  max over [l, u] of  f(z) - m z
"""

from .base import Array, Box, Function, Lines, quiet, space

_HALVINGS = 16  # of the interval in which a point of tangency is sought
_NARROW = 1e3  # times eps: a relative width of boxes below which a chord is no longer taken
CHORD = 2 / _NARROW  # what a chord's slope may err by, relative to f's size by the box's place


def error_of(box: Box, *values: Array) -> Array:
    """More than the rounding of a few operations on these values, and on products of a slope with the box's ends."""
    xp = space(box.lower)
    size = xp.maximum(abs(box.lower), abs(box.upper)) + 1
    for value in values:
        size = size + abs(value)
    return 8 * xp.finfo(size.dtype).eps * size


def chord_of(box: Box, low: Array, high: Array, narrow: Array) -> Array:
    """(f(u) - f(l)) / (u - l), or the slope `narrow` where the box is too narrow to divide by."""
    xp, width = space(box.lower), box.upper - box.lower
    wide = width > _NARROW * xp.finfo(width.dtype).eps * (1 + abs(box.lower) + abs(box.upper))
    return xp.where(wide, (high - low) / xp.where(wide, width, xp.ones_like(width)), narrow)


def softplus(z: Array) -> Array:
    """log(1 + exp(z))."""
    xp = space(z)
    return xp.relu(z) + xp.log1p(xp.exp(-abs(z)))


class Convex(Function):
    """A convex f: below it every tangent, above it the chord. `slope` is where the tangent touches, l at 0, u at 1."""

    @quiet
    def lines(self, box: Box, slope: Array | None) -> Lines:
        xp, box = space(box.lower), Box(box.lower[:, None], box.upper[:, None])
        touch = box.lower + (0.5 if slope is None else slope) * (box.upper - box.lower)
        touch = xp.minimum(xp.maximum(touch, box.lower), box.upper)
        at, tangent = self.forward(touch), self.slope(touch)
        low, high = self.forward(box.lower), self.forward(box.upper)
        chord = chord_of(box, low, high, tangent)
        largest = xp.maximum(abs(low), abs(high))
        lower = at - tangent * touch - error_of(box, at) * (1 + abs(tangent))
        upper = xp.maximum(low - chord * box.lower, high - chord * box.upper)
        return Lines(tangent, lower, chord, upper + error_of(box, largest) * (1 + abs(chord)))


class Softplus(Convex):
    """log(1 + exp(z))."""

    def forward(self, z: Array) -> Array:
        return softplus(z)

    def slope(self, z: Array) -> Array:
        return space(z).sigmoid(z)

    def steepest(self, box: Box) -> Array:
        return self.slope(box.upper) + CHORD

    @quiet
    def interval(self, box: Box) -> Box:
        low, high = self.forward(box.lower), self.forward(box.upper)
        return Box(low - error_of(box, low), high + error_of(box, high))


class Square(Convex):
    """z²."""

    @quiet
    def forward(self, z: Array) -> Array:
        return z * z

    @quiet
    def slope(self, z: Array) -> Array:
        return 2 * z

    @quiet
    def steepest(self, box: Box) -> Array:
        size = space(box.lower).maximum(abs(box.lower), abs(box.upper))
        return (2 + CHORD) * size + CHORD

    @quiet
    def interval(self, box: Box) -> Box:
        xp = space(box.lower)
        nearest = xp.relu(box.lower) + xp.relu(-box.upper)
        high = self.forward(xp.maximum(abs(box.lower), abs(box.upper)))
        return Box(self.forward(nearest) * (1 - 4 * xp.finfo(high.dtype).eps), high + error_of(box, high))


class Sigmoid(Function):
    """1 / (1 + exp(-z)): convex below 0, concave above, and f(-z) = 1 - f(z)."""

    def forward(self, z: Array) -> Array:
        return space(z).sigmoid(z)

    def interval(self, box: Box) -> Box:
        xp = space(box.lower)
        low, high = xp.sigmoid(box.lower), xp.sigmoid(box.upper)
        error = 8 * xp.finfo(low.dtype).eps
        return Box(xp.relu(low - error), xp.clamp(high + error, max=1))

    def slope(self, z: Array) -> Array:
        xp = space(z)
        return xp.sigmoid(z) * xp.sigmoid(-z)

    def steepest(self, box: Box) -> Array:
        xp = space(box.lower)
        nearest = xp.minimum(xp.maximum(xp.zeros_like(box.lower), box.lower), box.upper)
        return self.slope(nearest) + CHORD

    @quiet
    def lines(self, box: Box, slope: Array | None) -> Lines:
        """`slope` is where a line touches, of the points where a tangent or chord bounds f from that side: both lines'
        own, since a form meets one of them only."""
        box = Box(box.lower[:, None], box.upper[:, None])
        slope = self.start_slope(box) if slope is None else slope
        low, low_start = self._below(box, slope)
        high, start = self._below(Box(-box.upper, -box.lower), slope)
        return Lines(low, low_start, high, 1 - start)

    def start_slope(self, box: Box) -> Array:
        """The middle where f bends one way only; else the tangents that also pass through an end of f."""
        xp = space(box.lower)
        return xp.where((box.upper <= 0) | (box.lower >= 0), 0.5, xp.ones_like(box.lower))

    def _below(self, box: Box, slope: Array) -> tuple[Array, Array]:
        """Slope and start of a line below f."""
        xp = space(box.lower)
        low, high = xp.sigmoid(box.lower), xp.sigmoid(box.upper)
        last = xp.where(box.upper <= 0, box.upper, xp.maximum(self._touching(box), box.lower))
        touch = slope * last + (1 - slope) * box.lower  # of a wide box, what the ends' difference loses stays in
        tangent = self.slope(touch)
        chord = chord_of(box, low, high, tangent)
        # where even the tangent at l passes above (u, f(u)), the chord lies below f
        line = xp.where((box.lower >= 0) | (self.slope(box.lower) >= chord), chord, tangent)
        line = xp.where(box.upper <= 0, tangent, line)
        ends = xp.minimum(low - line * box.lower, high - line * box.upper)
        inner = self._bottom(xp.detach(line), box)
        start = xp.minimum(ends, xp.sigmoid(inner) - line * inner)
        return line, start - error_of(box)

    def _touching(self, box: Box) -> Array:
        """About where in [l, 0] a tangent passes through (u, f(u)); l where none does."""
        xp = space(box.lower)
        with xp.no_grad():
            left, right = xp.clamp(box.lower, max=0), xp.zeros_like(box.lower)
            target = xp.sigmoid(box.upper)
            for _ in range(_HALVINGS):
                middle = (left + right) / 2
                above = xp.sigmoid(middle) + self.slope(middle) * (box.upper - middle) > target
                left, right = xp.where(above, left, middle), xp.where(above, middle, right)
        return left

    @staticmethod
    def _bottom(line: Array, box: Box) -> Array:
        """The point of [l, u] where f(z) - m z is least inside of it: f'(z) = m on the convex side."""
        xp = space(line)
        m = xp.clamp(line, xp.finfo(line.dtype).tiny, 0.25)
        root = xp.sqrt(1 - 4 * m)
        z = xp.log(m) + xp.log(4 / (1 + root) ** 2)
        return xp.detach(xp.minimum(xp.maximum(z, box.lower), box.upper))
