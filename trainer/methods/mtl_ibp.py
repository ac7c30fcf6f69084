"""MTL-IBP, CC-IBP and EXP-IBP: between the attack's loss and the bounds' (De Palma et al., 2024, arXiv:2305.13991).

    MTL-IBP:  a CE(bounds) + (1 - a) CE(f(x_adv), t)
    CC-IBP:   CE(a bounds + (1 - a) margins of f(x_adv))
    EXP-IBP:  CE(bounds)^a · CE(f(x_adv), t)^(1-a),   of the batch's means

The bounds are IBP's over the eps-box, unless another relaxation is asked for; x_adv's box may be larger.
"""

from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from glscert.verifier.bounds import Bounds, Box, margin_spec

from ..attack import AttackOptions, adversarial_inputs
from ..evaluation import Params
from ..losses import nominal_cross_entropy, robust_cross_entropy
from ..objective import Images, LossParts, Objective, proved
from .settings import BY_IBP, Tuned, tuned

SMALL = 1e-12  # EXP-IBP's slopes are infinite at a loss of 0


class Options(AttackOptions):
    """`alpha`: weight a of the bounds. `attack_range_scale`: half-width of the attacked box over eps.

    Defaults depend on the setting, and are MTL-IBP's for all three.
    """

    alpha: float = Field(0.02, ge=0, le=1)
    attack_range_scale: float = Field(1.0, gt=0)


TUNED: Tuned = {
    "mnist": ({"alpha": 0.02, "steps": 10}, {"alpha": 0.5, "steps": 1}),
    "cifar10": ({"alpha": 0.01, "attack_range_scale": 2.0, "steps": 1}, {"alpha": 0.6, "steps": 1}),
    "tinyimagenet": ({"alpha": 0.05, "attack_range_scale": 1.5, "steps": 1},),
}


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """IBP's bounds, the test accuracy by tighter ones, and options by setting."""
    return {**BY_IBP, "options": tuned(dataset, eps, TUNED)}


class Both(NamedTuple):
    """The eps-box and the bounds over it, and the scores [B, K] at the attacked inputs."""

    box: Box
    bounds: Bounds
    scores: Tensor

    def parts(self, *terms: Tensor) -> LossParts:
        return LossParts(torch.stack(terms), proved(self.bounds), self.box, self.bounds)


def mtl_loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The weighted sum of both losses."""
    both, a = _both(objective, params, images, options), options.alpha
    return both.parts(
        a * robust_cross_entropy(both.bounds.lower) + (1 - a) * nominal_cross_entropy(both.scores, images.y)
    )


def cc_loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The loss of the weighted sum of both margins."""
    both, a = _both(objective, params, images, options), options.alpha
    rows = margin_spec(images.y, objective.classes, both.scores.dtype).rows
    attacked = (rows @ both.scores.unsqueeze(2)).squeeze(2)
    return both.parts(robust_cross_entropy(a * both.bounds.lower + (1 - a) * attacked))


def exp_loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The weighted geometric mean of both losses."""
    both = _both(objective, params, images, options)
    parts = both.parts(robust_cross_entropy(both.bounds.lower), nominal_cross_entropy(both.scores, images.y))

    def combine(means: Tensor) -> Tensor:
        bounded, attacked = means.clamp(min=SMALL)
        return bounded**options.alpha * attacked ** (1 - options.alpha)

    return parts._replace(combine=combine)


def _both(objective: Objective, params: Params, images: Images, options: Options) -> Both:
    x, eps = images.x, images.eps
    bounds = objective.bounds(params, x, images.y, eps)
    attacked = adversarial_inputs(objective, params, images, eps * options.attack_range_scale, options)
    return Both(objective.box(x, eps), bounds, objective.scores(params, attacked))
