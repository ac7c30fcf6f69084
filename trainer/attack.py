"""Projected gradient descent (Madry et al., 2018) as training uses it: where in a box some function is largest.

    z <- project(z + stride · (U - L) · sign(gradient))

from random starts; per row, the best of all points visited in all restarts is kept, the last one too. It is a constant
for autograd. Steps and their decay are those of the authors' benchmark library.
"""

from collections.abc import Callable, Sequence
from math import ceil

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from glscert.verifier.bounds import Box

from .evaluation import Params
from .objective import Images, Objective


class AttackOptions(BaseModel):
    """Of the attack on the input: its steps, random restarts, and first step as a share of the box's half-width.

    step_size None: max(0.25, 2 / steps).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(10, ge=1)
    restarts: int = Field(3, ge=1)
    step_size: float | None = Field(None, gt=0)


def adversarial_inputs(
    objective: Objective, params: Params, images: Images, eps: float, options: AttackOptions
) -> Tensor:
    """Inputs [B, *v] within eps of the images at which the cross-entropy against their labels is large."""
    fixed = {name: value.detach() for name, value in params.items()}

    def climb(z: Tensor) -> Tensor:
        return cross_entropy(objective.scores(fixed, z), images.y, reduction="none")

    size = options.step_size or max(0.25, 2 / options.steps)
    strides = [size / 2 * decay for decay in input_decays(options.steps)]
    return ascend(climb, images.x, objective.box(images.x, eps), strides, options.restarts, images.generator)


def ascend(
    climb: Callable[[Tensor], Tensor],
    around: Tensor,
    box: Box,
    strides: Sequence[float],
    restarts: int,
    generator: torch.Generator,
) -> Tensor:
    """Points [R, *v] of the box where `climb` ([R, *v] -> [R], row by row) is largest of all those seen.

    Starts are `around` [R, *v] shifted by up to half the box's width each way; `strides` are the steps as shares of the
    width. `generator` is on the CPU.
    """
    lower, upper = box.lower.detach(), box.upper.detach()
    width = upper - lower
    best = _inside(around, lower, upper)
    height = torch.full((len(best),), -torch.inf, dtype=best.dtype, device=best.device)
    for _ in range(restarts):
        draw = torch.rand(best.shape, generator=generator, dtype=best.dtype).to(best.device)
        z = _inside(around + (draw - 0.5) * width, lower, upper)
        for stride in (*strides, None):
            z = z.detach().requires_grad_(stride is not None)
            with torch.set_grad_enabled(stride is not None):
                value = climb(z)
            better = value.detach() > height
            height = torch.where(better, value.detach(), height)
            best = torch.where(better.reshape(-1, *[1] * (z.dim() - 1)), z.detach(), best)
            if stride is not None:
                (slope,) = torch.autograd.grad(value.sum(), z)
                z = _inside(z.detach() + stride * width * slope.sign(), lower, upper)
    return best


def input_decays(steps: int) -> list[float]:
    """What each of the steps of an attack on the input is multiplied by."""
    if steps < 20:
        return [0.2 ** (step // 10) for step in range(steps)]
    marks = [ceil(0.7 * steps)] if steps < 50 else [0.5 * steps, 0.8 * steps, 0.9 * steps]
    return [float(0.1 ** sum(step >= mark for mark in marks)) for step in range(steps)]


def latent_decays(steps: int) -> list[float]:
    """The same of TAPS's attack on a hidden layer."""
    fractions = () if steps < 10 else (0.7,) if steps <= 50 else (0.4, 0.7) if steps <= 80 else (0.3, 0.6, 0.8)
    marks = [int(fraction * steps) for fraction in fractions]
    return [float(0.2 ** sum(step >= mark for mark in marks)) for step in range(steps)]


def _inside(z: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(z, lower), upper)
