"""STAPS: TAPS over the small boxes of SABR (Mao et al., 2023, Section 3.4). While eps grows it is SABR."""

from glscert.verifier.graph import Graph

from ..evaluation import Params
from ..objective import Images, LossParts, Objective
from . import sabr, taps


class Options(sabr.Options, taps.LatentOptions):
    """Those of both. The authors' library: grad_scale 2 for CIFAR-10 and eps_shrinkage 0.6 for MNIST at eps 0.3."""


def check(graph: Graph, relaxation: str, options: Options) -> None:
    sabr.check(graph, relaxation, options)
    taps.check(graph, relaxation, options)


def loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """SABR's loss, and L_TAPS of the small boxes unless eps still grows."""
    parts = sabr.loss(objective, params, images, options)
    if images.annealing or parts.box is None or parts.bounds is None:
        return parts
    latent = taps.latent_box(objective.graph, parts.box, parts.bounds, options, options.relu_shrinkage)
    return taps.with_latent_attack(objective, params, images, parts, latent, options)
