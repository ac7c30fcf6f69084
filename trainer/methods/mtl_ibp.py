"""MTL-IBP, CC-IBP and EXP-IBP: between the attack's loss and the bounds' (De Palma et al., 2024, arXiv:2305.13991).

    MTL-IBP:  a CE(bounds) + (1 - a) CE(f(x_adv), t)
    CC-IBP:   CE(a bounds + (1 - a) margins of f(x_adv))
    EXP-IBP:  CE(bounds)^a · CE(f(x_adv), t)^(1-a),   of the batch's means

The bounds are IBP's over the eps-box, unless another relaxation is asked for; x_adv's box may be larger.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from glscert.verifier.bounds import margin_spec

from ..attack import AttackOptions, adversarial_inputs
from ..evaluation import Params
from ..losses import nominal_cross_entropy, robust_cross_entropy
from ..objective import Images, LossParts, Objective, proved
from .settings import BY_IBP, Tuned, tuned

SMALL = 1e-12  # EXP-IBP's slopes are infinite at a loss of 0


class Options(AttackOptions):
    """`alpha`: weight a of the bounds, `warmup_alpha` while eps grows (None: alpha; 1: nothing is attacked there).
    `attack_range_scale`: half-width of the attacked box over eps.

    Defaults depend on the setting, and are MTL-IBP's for all three.
    """

    alpha: float = Field(0.02, ge=0, le=1)
    warmup_alpha: float | None = Field(None, ge=0, le=1)
    attack_range_scale: float = Field(1.0, gt=0)

    def weight(self, annealing: bool) -> float:
        """a, while eps grows or after."""
        return self.alpha if self.warmup_alpha is None or not annealing else self.warmup_alpha


TUNED: Tuned = {
    "mnist": ({"alpha": 0.02, "steps": 10}, {"alpha": 0.5, "steps": 1}),
    "cifar10": ({"alpha": 0.01, "attack_range_scale": 2.0, "steps": 1}, {"alpha": 0.6, "steps": 1}),
    "tinyimagenet": ({"alpha": 0.05, "attack_range_scale": 1.5, "steps": 1},),
}


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """IBP's bounds, the test accuracy by tighter ones, and options by setting."""
    return {**BY_IBP, "options": tuned(dataset, eps, TUNED)}


def mtl_loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The weighted sum of both losses."""
    parts, a = _bounded(objective, params, images), options.weight(images.annealing)
    if a == 1:
        return parts
    return parts._replace(terms=a * parts.terms + (1 - a) * _attacked(objective, params, images, options))


def exp_loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The weighted geometric mean of both losses."""
    parts, a = _bounded(objective, params, images), options.weight(images.annealing)
    if a == 1:
        return parts

    def combine(means: Tensor) -> Tensor:
        bounded, attacked = means.clamp(min=SMALL)
        return bounded**a * attacked ** (1 - a)

    return parts._replace(
        terms=torch.cat([parts.terms, _attacked(objective, params, images, options)]), combine=combine
    )


def cc_loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The loss of the weighted sum of both margins."""
    a = options.weight(images.annealing)
    if a == 1:
        return _bounded(objective, params, images)
    scores = _attacked_scores(objective, params, images, options)
    bounds = objective.bounds(params, images.x, images.y, images.eps, every_box=images.every_box)
    rows = margin_spec(images.y, objective.classes, scores.dtype).rows
    attacked = (rows @ scores.unsqueeze(2)).squeeze(2)
    loss = robust_cross_entropy(a * bounds.lower + (1 - a) * attacked)
    return LossParts(loss[None], proved(bounds), objective.box(images.x, images.eps), bounds)


def _bounded(objective: Objective, params: Params, images: Images) -> LossParts:
    """The loss over the eps-box."""
    return objective.robust_loss(params, images.x, images.y, images.eps, every_box=images.every_box)


def _attacked(objective: Objective, params: Params, images: Images, options: Options) -> Tensor:
    """The loss [1] at the attacked inputs."""
    return nominal_cross_entropy(_attacked_scores(objective, params, images, options), images.y)[None]


def _attacked_scores(objective: Objective, params: Params, images: Images, options: Options) -> Tensor:
    """Scores [B, K] at the attacked inputs."""
    attacked = adversarial_inputs(objective, params, images, images.eps * options.attack_range_scale, options)
    return objective.scores(params, attacked)
