"""PGD, adversarial training: the cross-entropy at the worst input an attack finds (Madry et al., 2018).

    L = CE(f(x_adv), t)

Nothing is proved on the way; the relaxation only measures the test accuracy after each epoch.
"""

from typing import Any

from ..attack import AttackOptions, adversarial_inputs
from ..evaluation import Params
from ..losses import nominal_cross_entropy
from ..objective import Images, LossParts, Objective
from .settings import tuned


class Options(AttackOptions):
    """Those of the attack."""


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """He's weights to start from and no bounds to regularise, as the authors' library has it; its steps by setting."""
    return {"init": "kaiming", "fast_reg": 0.0, "options": tuned(dataset, eps, {"mnist": ({}, {"steps": 5})})}


def loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The cross-entropy at the attacked inputs."""
    attacked = adversarial_inputs(objective, params, images, images.eps, options)
    return LossParts(nominal_cross_entropy(objective.scores(params, attacked), images.y)[None], None)
