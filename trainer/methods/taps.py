"""TAPS, training with both bounds and an attack inside the network (Mao et al., 2023, arXiv:2305.04574).

The network is cut after a ReLU. The first block gives a box [L, U] of what enters the second; there, for each class
j != t, an attack of its own finds a point z_j where y_j - y_t is large. With CE over (0, y_j - y_t at z_j):

    L = L_bounds · L_TAPS

of the batch's means: L_bounds is the robust CE of the whole network's bounds, and L_TAPS counts `grad_scale` times in
the gradient. The gradient at z_j reaches the ends of the box it touches (see `connect`). While eps grows, L = L_bounds.
The bounds are IBP's unless another relaxation is asked for.
"""

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from glscert.verifier.bounds import Bounds, Box, margin_spec
from glscert.verifier.bounds.interval import image
from glscert.verifier.errors import InputError
from glscert.verifier.graph import Graph
from glscert.verifier.ops import OPERATORS, Nonlinear, evaluate

from ..attack import ascend, latent_decays
from ..blocks import tail
from ..evaluation import Params
from ..losses import robust_cross_entropy
from ..objective import Images, LossParts, Objective, proved
from ..shrunk import shrink
from .settings import BY_IBP, Tuned, tuned

TOLERANCE = 1e-5  # boxes no wider than this count as this wide in the connector


class LatentOptions(BaseModel):
    """Of TAPS and STAPS. `relus`: how many ReLUs the second block holds; with 1 it begins with what the last ReLU but
    one puts out. `latent_steps`, `latent_restarts`: of the attacks there. `grad_scale`: how many times the gradient of
    L_TAPS counts. `connector`: share c of a box's width, at either end, from which gradient flows.

    The authors' library attacks the last 1 to 5 of a CNN7's 6 ReLUs. Other defaults depend on the setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    relus: int = Field(1, ge=1)
    latent_steps: int = Field(10, ge=1)
    latent_restarts: int = Field(3, ge=1)
    grad_scale: float = Field(4.0, gt=0)
    connector: float = Field(0.5, gt=0, le=1)


class Options(LatentOptions):
    """TAPS has no others."""


TUNED: Tuned = {"mnist": ({}, {"latent_steps": 5}), "cifar10": ({"grad_scale": 5.0}, {"grad_scale": 2.0})}


def defaults(dataset: str, eps: float) -> dict[str, Any]:
    """IBP's bounds, the test accuracy by tighter ones, and options by setting."""
    return {**BY_IBP, "options": tuned(dataset, eps, TUNED)}


def check(graph: Graph, relaxation: str, options: LatentOptions) -> None:
    """Raises InputError where the network cannot be cut as the options say."""
    tail(graph, cut(graph, options.relus))


def loss(objective: Objective, params: Params, images: Images, options: Options) -> LossParts:
    """L_bounds of the eps-boxes, and L_TAPS unless eps still grows."""
    x, y, eps = images.x, images.y, images.eps
    box, bounds = objective.box(x, eps), objective.bounds(params, x, y, eps)
    parts = LossParts(robust_cross_entropy(bounds.lower)[None], proved(bounds), box, bounds)
    if images.annealing:
        return parts
    latent = latent_box(objective.graph, box, bounds, options)
    return with_latent_attack(objective, params, images, parts, latent, options)


def with_latent_attack(
    objective: Objective, params: Params, images: Images, parts: LossParts, latent: Box, options: LatentOptions
) -> LossParts:
    """`parts` times L_TAPS over the box `latent` of what enters the second block."""
    found = robust_cross_entropy(attacked_margins(objective, params, images, latent, options))
    found = found + (options.grad_scale - 1) * (found - found.detach())  # the value stays
    return parts._replace(terms=torch.cat([parts.terms, found[None]]), combine=torch.prod)


def latent_box(graph: Graph, box: Box, bounds: Bounds, options: LatentOptions, shrinkage: float = 1.0) -> Box:
    """The box of what enters the second block, from the input's and the ReLUs' boxes; shrunk as SABR's bounds are."""
    value = cut(graph, options.relus)
    if value == graph.input:
        return box
    relu = graph.producers()[value]
    return image(relu, {}, {relu.inputs[0]: shrink(bounds.pre[relu.inputs[0]], shrinkage)})


def cut(graph: Graph, relus: int) -> str:
    """The value that enters the second block, the one of the last `relus` ReLUs. Raises InputError: too few of them."""
    nonlinear = [node for node in graph.nodes if isinstance(OPERATORS[node.op], Nonlinear)]
    if relus > len(nonlinear):
        raise InputError(f"relus = {relus}, but the network has {len(nonlinear)}; take at most {len(nonlinear)}.")
    return graph.input if relus == len(nonlinear) else nonlinear[-relus - 1].output


def attacked_margins(objective: Objective, params: Params, images: Images, box: Box, options: LatentOptions) -> Tensor:
    """y_t - y_j at z_j [B, K-1], the point found in the box of what enters the second block; j != t, increasing.

    Differentiable in params, through the second block and through the box.
    """
    second = tail(objective.graph, cut(objective.graph, options.relus))
    weights = {**objective.constants, **params}
    fixed = {name: tensor.detach() for name, tensor in weights.items()}
    rows = margin_spec(images.y, objective.classes, box.lower.dtype).rows
    batch, others, _ = rows.shape
    each = Box(*(side.unsqueeze(1).expand(batch, others, *side.shape[1:]) for side in box))
    flat = Box(*(side.detach().flatten(0, 1) for side in each))

    def margins(weights: Params, z: Tensor) -> Tensor:
        return (rows.flatten(0, 1) * evaluate(second, weights, z)).sum(1)

    steps = options.latent_steps
    strides = [max(0.2, 2 / steps) * decay for decay in latent_decays(steps)]
    around = (flat.lower + flat.upper) / 2
    z = ascend(lambda z: -margins(fixed, z), around, flat, strides, options.latent_restarts, images.generator)
    connected = connect(z.reshape(each.lower.shape), each, options.connector)
    return margins(weights, connected.flatten(0, 1)).reshape(batch, others)


def connect(z: Tensor, box: Box, share: float) -> Tensor:
    """z [R, *v] with a gradient to the ends of the box it lies in (Mao et al., 2023, Section 3.2), d = share (U - L):

    dz/dU = 1[z >= U - d] (z - (U - d)) / d,   dz/dL = 1[z <= L + d] (L + d - z) / d
    """
    lower, upper = box.lower.detach(), box.upper.detach()
    d = share * (upper - lower)
    wide = d.clamp(min=TOLERANCE)
    above, below = z - (upper - d), lower + d - z
    to_upper = (above >= 0) * above.clamp(min=TOLERANCE / 2) / wide
    to_lower = (below >= 0) * below.clamp(min=TOLERANCE / 2) / wide
    return z + to_upper * (box.upper - upper) + to_lower * (box.lower - lower)
