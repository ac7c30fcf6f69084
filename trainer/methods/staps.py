"""STAPS: TAPS over the small boxes of SABR (Mao et al., 2023, Section 3.4). While eps grows it is SABR."""

from typing import Any

from glscert.verifier.graph import Graph

from ..evaluation import Params
from ..objective import Images, LossParts, Objective
from . import sabr, taps
from .settings import BY_IBP, Tuned, tuned


class Options(sabr.Options, taps.LatentOptions):
    """Those of both."""


TUNED: Tuned = {
    "mnist": ({"eps_shrinkage": 0.4}, {"eps_shrinkage": 0.6}),
    "cifar10": (
        {"eps_shrinkage": 0.1, "relu_shrinkage": 0.8, "grad_scale": 2.0, "steps": 8, "latent_steps": 8},
        {"eps_shrinkage": 0.9, "grad_scale": 2.0},
    ),
    "tinyimagenet": ({"eps_shrinkage": 0.6},),
}


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """IBP's bounds, the test accuracy by tighter ones, and options by setting."""
    return {**BY_IBP, "options": tuned(dataset, eps, TUNED)}


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
