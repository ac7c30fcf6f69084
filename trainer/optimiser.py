"""Adam (Kingma and Ba, 2015) as a function, so that its whole state is a dictionary of tensors that can be saved."""

import math

import torch

from .evaluation import Params

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def adam(params: Params, moments: Params, gradient: Params, step: int, lr: float) -> tuple[Params, Params]:
    """New parameters and moments after step number `step` (from 0); `moments` may be empty before the first.

    Moments are "exp_avg/NAME" and "exp_avg_sq/NAME": running means of gradient and squared gradient.
    """
    new_params, new_moments = {}, {}
    correction1, correction2 = 1 - BETA1 ** (step + 1), 1 - BETA2 ** (step + 1)
    for name, value in params.items():
        g = gradient[name]
        first = moments.get(f"exp_avg/{name}", torch.zeros_like(value)) * BETA1 + g * (1 - BETA1)
        second = moments.get(f"exp_avg_sq/{name}", torch.zeros_like(value)) * BETA2 + g * g * (1 - BETA2)
        new_params[name] = value - lr / correction1 * first / (second.sqrt() / math.sqrt(correction2) + EPSILON)
        new_moments[f"exp_avg/{name}"], new_moments[f"exp_avg_sq/{name}"] = first, second
    return new_params, new_moments


def clip(gradient: Params, limit: float) -> tuple[Params, float]:
    """The gradient scaled down to a global L2 norm of at most `limit`, and the norm it had."""
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradient.values()])))
    factor = limit / (norm + 1e-6)
    return ({name: g * factor for name, g in gradient.items()} if factor < 1 else gradient), norm
