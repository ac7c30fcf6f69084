"""PGD, adversarial training: the cross-entropy at the worst input an attack finds (Madry et al., 2018).

    L = CE(f(x_adv), t)

Nothing is proved on the way; the relaxation only measures the test accuracy after each epoch.
"""

from ..attack import AttackOptions, adversarial_inputs
from ..evaluation import Params
from ..losses import nominal_cross_entropy
from ..objective import Images, LossParts, Objective


class Options(AttackOptions):
    """Those of the attack. The authors' library: 10 steps at eps 0.1 on MNIST, 5 at 0.3; 3 restarts."""


def loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """The cross-entropy at the attacked inputs."""
    attacked = adversarial_inputs(objective, params, images, images.eps, options)
    return LossParts(nominal_cross_entropy(objective.scores(params, attacked), images.y)[None], None)
