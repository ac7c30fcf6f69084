"""α- and β-CROWN: lower bounds of specification rows, tightened by gradient ascent on slopes and split multipliers.

    max over α in [0, 1], β of  min over the box of  A(α, β) · x + constant(α, β)

α are the lower slopes of unstable neurons (Xu et al. 2021, arXiv:2011.13824), one per specification row; β belong
to the ends of boxes that splits moved, at 0 (Wang et al. 2021, arXiv:2103.06624) or anywhere (Shi et al. 2024,
arXiv:2405.21063):

    0 >= β (z - u)  for β > 0,   0 >= β (z - l)  for β < 0,   wherever l <= z <= u

Every iterate is a sound bound; the best is kept. Pre-activation boxes stay as given.
"""

from collections.abc import Mapping

import numpy as np

from ..functions import Box
from .anchor import Anchor
from .curved import climbed_curves
from .dual_job import DualJob
from .dual_values import Cuts as Cuts
from .dual_values import Dual as Dual
from .dual_values import DualBounds as DualBounds
from .dual_values import Look as Look
from .engine import Engine
from .job import Found
from .neuron_rows import rows_program
from .plan import Array
from .substitution import Spec

_RATE, _DECAY = 0.25, 0.95  # of an ascent's first step, and of each by the one before


def start_dual(engine: Engine, pre: Mapping[str, Box], rows: int) -> Dual:
    """The slopes that DeepPoly takes and no multipliers, for M = rows."""
    slopes = {
        name: np.repeat(engine.bends[name].function.start_slope(box)[:, None], rows, 1) for name, box in pre.items()
    }
    return Dual(slopes, {name: np.zeros_like(slope) for name, slope in slopes.items()})


def mixed(spec: Spec, weights: Array | None) -> Spec:
    """The rows, or the one row [B, 1, K] that is their sum with `weights` [B, M]."""
    if weights is None:
        return spec
    return Spec(weights[:, None] @ spec.rows, (weights * spec.offset).sum(1, keepdims=True))


def dual_bounds(
    engine: Engine,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts] | None,
    anchor: Anchor,
    *,
    look: bool = False,
    steps: int = 0,
) -> DualBounds:
    """The bound of specification rows by boxes pre [B, n] of the nonlinearities' inputs: of the given slopes, and where
    `cuts` are given of the multipliers at the ends of the boxes, or the best over `steps` of ascent from these.

    Piecewise linear networks are split at 0: what a multiplier may move is the cut side, where it costs nothing.
    """
    asked = DualJob(engine, spec, pre, dual, cuts, anchor)
    if steps and not engine.piecewise_linear:
        bound, best = climbed_curves(asked, steps=steps, rate=_RATE, decay=_DECAY)
        return dual_bounds(engine, spec, pre, best, cuts, anchor, look=True) if look else DualBounds(bound, best)
    job = asked.job._replace(look=look)
    found = rows_program(engine, anchor).bounds(job, steps=steps, rate=_RATE, decay=_DECAY)
    best = _moved(asked, found) if steps else dual
    bound = asked.shaped(found.bound)[:, :, 0] - asked.held(best)
    return DualBounds(bound, best, _seen(asked, found) if look else None)


def _moved(asked: DualJob, found: Found) -> Dual:
    """What an ascent ended with."""
    multipliers = asked.dual.multipliers if asked.cuts is None else asked.named(found.extra)
    return Dual(asked.named(found.low), multipliers, None if asked.dual.weights is None else found.weights)


def _seen(asked: DualJob, found: Found) -> Look:
    lower, upper = (end[:, None] for end in asked.anchor.box)
    corner = asked.shaped(np.asarray(found.corner))
    if asked.anchor.ball is None:  # the very end of the box
        corner = np.where(corner < asked.anchor.centre[:, None], lower, upper)
    return Look(asked.named(found.met), corner)
