"""Where back-substitution ends: on boxes of the input, or on balls within them."""

from typing import Any, NamedTuple

from ..functions import Box
from .ball import CutBall
from .plan import Array


class Anchor(NamedTuple):
    """box [B, n] of the input, and the ball cut to it where the inputs lie in one."""

    box: Box
    ball: CutBall | None = None

    @property
    def centre(self) -> Array:
        """[B, n]."""
        return (self.box.lower + self.box.upper) * 0.5 if self.ball is None else self.ball.centre

    @property
    def radius(self) -> Array:
        """Of the box, or of the ball [B, n]."""
        return self.box.upper - self.centre if self.ball is None else self.ball.radius

    def take(self, index: Any) -> "Anchor":
        """Of some of the boxes."""
        lower, upper = self.box
        return Anchor(Box(lower[index], upper[index]), None if self.ball is None else self.ball.take(index))

    def astype(self, dtype: Any) -> "Anchor":
        """In another type of numbers."""
        lower, upper = self.box
        box = Box(lower.astype(dtype, copy=False), upper.astype(dtype, copy=False))
        return Anchor(box, None if self.ball is None else self.ball.astype(dtype))
