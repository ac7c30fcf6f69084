"""SABR, small adversarial bounding regions: bounds over a small box around an attacked input (Müller et al., 2023).

    tau = lambda (U - L) / 2,   x' = clamp(x_adv, L + tau, U - tau),   L = robust CE over [x' - tau, x' + tau]

[L, U] is the eps-box and lambda `eps_shrinkage`. The small box lies inside the eps-box, so its bounds prove nothing of
the rest; they are IBP's unless another relaxation is asked for.
"""

from typing import Any

import torch
from pydantic import Field

from glscert.verifier.bounds import Box
from glscert.verifier.errors import InputError
from glscert.verifier.graph import Graph

from ..attack import AttackOptions, adversarial_inputs
from ..evaluation import Params
from ..losses import robust_cross_entropy
from ..objective import Images, LossParts, Objective
from ..shrunk import shrunk_ibp
from .settings import BY_IBP, Tuned, tuned


class Options(AttackOptions):
    """`eps_shrinkage`: half-width of the small box over that of the eps-box. `relu_shrinkage`: what the upper bounds of
    unstable neurons are multiplied by before each ReLU (1: nothing; with IBP only). Defaults depend on the setting.
    """

    step_size: float | None = Field(0.2, gt=0)
    eps_shrinkage: float = Field(0.4, ge=0, le=1)
    relu_shrinkage: float = Field(1.0, ge=0, le=1)


TUNED: Tuned = {
    "mnist": ({"eps_shrinkage": 0.4}, {"eps_shrinkage": 0.9, "steps": 5}),
    "cifar10": ({"eps_shrinkage": 0.1, "relu_shrinkage": 0.8}, {"eps_shrinkage": 0.9}),
    "tinyimagenet": ({"eps_shrinkage": 0.4},),
}


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """IBP's bounds, the test accuracy by tighter ones, and options by setting."""
    return {**BY_IBP, "options": tuned(dataset, eps, TUNED)}


def check(graph: Graph, relaxation: str, options: Options) -> None:
    """Raises InputError where the bounds cannot be had."""
    if options.relu_shrinkage < 1 and relaxation != "ibp":
        raise InputError(
            f"relu_shrinkage = {options.relu_shrinkage:g} is for IBP's bounds, not {relaxation}'s; take relaxation "
            "ibp, or set relu_shrinkage to 1."
        )


def loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The robust cross-entropy over the small boxes."""
    box = small_box(objective, params, images, options)
    if options.relu_shrinkage < 1:
        bounds = shrunk_ibp(objective, params, box, images.y, options.relu_shrinkage)
        return LossParts(robust_cross_entropy(bounds.lower)[None], None, box, bounds)
    name = objective.relaxation_at(images.eps)
    return objective.robust_loss_on(params, box, images.y, name, every_box=images.every_box)._replace(proved=None)


def small_box(objective: Objective, params: Params, images: Images, options: Options) -> Box:
    """The small box [B, *v] inside the eps-box of each image, as near as it gets to the attacked input."""
    lower, upper = objective.box(images.x, images.eps)
    attacked = adversarial_inputs(objective, params, images, images.eps, options)
    tau = options.eps_shrinkage * (upper - lower) / 2
    centre = torch.minimum(torch.maximum(attacked, lower + tau), upper - tau)
    return Box(torch.maximum(centre - tau, lower), torch.minimum(centre + tau, upper))  # rounding may lead outside
