"""ReLU: interval image and the triangle relaxation's lines."""

from .base import Array, Box, Function, Lines, quiet, space


class Relu(Function):
    """max(z, 0)."""

    kinked = True

    def forward(self, z: Array) -> Array:
        return space(z).relu(z)

    def interval(self, box: Box) -> Box:
        xp = space(box.lower)
        return Box(xp.relu(box.lower), xp.relu(box.upper))

    @quiet
    def lines(self, box: Box, slope: Array | None) -> Lines:
        """Upper line u/(u-l)·(z-l), lower line λ·z (Singh et al. 2019, Zhang et al. 2018); exact if z keeps its sign.

        `slope` [B, S, *v] in [0, 1] is λ of the unstable neurons; None takes the line of least area, 1 if u > -l else 0
        (a tie gives 0). λ is a constant for autograd, the upper line is not.
        """
        xp = space(box.lower)
        lower, upper = box.lower[:, None], box.upper[:, None]
        below, above = -xp.relu(-lower), xp.relu(upper)
        tilt = above / (above - below + xp.finfo(lower.dtype).tiny)  # 0 / 0 is 0
        if slope is None:
            lower_slope = self.start_slope(Box(lower, upper))
        else:
            lower_slope = xp.where(lower >= 0, 1.0, xp.where(upper <= 0, 0.0, slope))
        return Lines(lower_slope, None, tilt, -tilt * below)

    def slope(self, z: Array) -> Array:
        return space(z).asarray(z > 0, dtype=z.dtype)

    def steepest(self, box: Box) -> Array:
        return self.slope(box.upper)

    @quiet
    def start_slope(self, box: Box) -> Array:
        return self.slope(box.lower + box.upper)

    def passes(self, box: Box) -> Array:
        return box.lower >= 0
