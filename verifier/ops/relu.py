"""ReLU: interval image and the triangle relaxation's lines."""

import torch
from torch import Tensor

from ..graph import Node
from .base import Box, Lines, Nonlinear, Params


class Relu(Nonlinear):
    """max(z, 0)."""

    kinked = True

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return torch.relu(value)

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        return Box(torch.relu(box.lower), torch.relu(box.upper))

    def lines(self, box: Box, slope: Tensor | None) -> Lines:
        """Upper line u/(u-l)·(z-l), lower line λ·z (Singh et al. 2019, Zhang et al. 2018); exact if z keeps its sign.

        `slope` [B, S, *v] in [0, 1] is λ of the unstable neurons; None takes the line of least area, 1 if u > -l else 0
        (a tie gives 0). λ is a constant for autograd, the upper line is not.
        """
        lower, upper = box.lower.unsqueeze(1), box.upper.unsqueeze(1)
        below, above = -torch.relu(-lower), torch.relu(upper)
        tilt = above / (above - below + torch.finfo(lower.dtype).tiny)  # 0 / 0 is 0
        if slope is None:
            lower_slope = self.start_slope(Box(lower, upper))
        else:
            lower_slope = torch.where(lower >= 0, 1.0, torch.where(upper <= 0, 0.0, slope))
        return Lines(lower_slope, None, tilt, -tilt * below)

    def steepest(self, box: Box) -> Tensor:
        return (box.upper > 0).to(box.lower.dtype)

    def start_slope(self, box: Box) -> Tensor:
        return (box.lower + box.upper > 0).to(box.lower.dtype)

    def passes(self, box: Box) -> Tensor:
        return box.lower >= 0
