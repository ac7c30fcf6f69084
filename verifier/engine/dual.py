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
from .dual_values import held
from .engine import Engine
from .impact import split_impact as split_impact
from .job import Found
from .neuron_rows import climbed as climbed
from .neuron_rows import neuron_bounds as neuron_bounds
from .neuron_rows import rows_program
from .plan import Array
from .sides import Halves, flips
from .substitution import Spec

RATE, DECAY = 0.25, 0.95  # of an ascent's first step, and of each by the one before


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


def dual_bound(
    engine: Engine,
    anchor: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts] | None = None,
) -> Array:
    """The bound [B, M] of given slopes, and where `cuts` are given, of the multipliers at the ends of the boxes."""
    return dual_bounds(engine, spec, pre, dual, cuts, anchor).bound


def tighten(
    engine: Engine,
    anchor: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts] | None = None,
    *,
    steps: int,
    rate: float = RATE,
    decay: float = DECAY,
) -> tuple[Array, Dual]:
    """The best bound [B, M] over `steps` steps of Adam from `dual`, and the slopes and multipliers that gave it."""
    found = dual_bounds(engine, spec, pre, dual, cuts, anchor, steps=steps, rate=rate, decay=decay)
    return found.bound, found.dual


def look(
    engine: Engine,
    anchor: Anchor,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts] | None,
) -> Look:
    """How a bound comes about."""
    return dual_bounds(engine, spec, pre, dual, cuts, anchor, look=True).shown()


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
    rate: float = RATE,
    decay: float = DECAY,
    neurons: Array | None = None,
) -> DualBounds:
    """The bound of specification rows by boxes pre [B, n] of the nonlinearities' inputs, after `steps` of ascent.

    neurons [B, V]: counted through all of `pre` in its order, for the bounds of both sides of each one's split; of a
    negative one they say nothing. Piecewise linear networks are split at 0: what a multiplier may move is the side
    that is cut, where it costs nothing.
    """
    asked = DualJob(engine, spec, pre, dual, cuts, anchor)
    if steps and not engine.piecewise_linear:
        bound, dual = climbed_curves(asked, steps=steps, rate=rate, decay=decay)
        if not look and neurons is None:
            return DualBounds(bound, dual)
        return dual_bounds(engine, spec, pre, dual, cuts, anchor, look=look, neurons=neurons)
    job = asked.job._replace(look=look)
    if neurons is not None and engine.piecewise_linear:
        job = job._replace(flips=flips(engine, pre, neurons))
    found = rows_program(engine, anchor).bounds(job, steps=steps, rate=rate, decay=decay)
    best = _moved(asked, found) if steps else dual
    bound = asked.shaped(found.bound)[:, :, 0]
    sides = None if found.flipped is None else found.flipped.T.reshape(len(bound), -1, 2)
    for name, cut in (cuts or {}).items():
        kept = held(best.multipliers[name], pre[name], cut)
        bound, sides = bound - kept, None if sides is None else sides - kept[:, :, None]
    if neurons is not None and sides is None:
        sides = np.stack([_sides(asked, each) for each in neurons.T], 1)
    return DualBounds(bound, best, _seen(asked, found) if look else None, sides)


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


def _sides(asked: DualJob, neuron: Array) -> Array:
    """The bounds [B, 2] of both sides of a split of `neuron` [B]."""
    both = Halves(asked.engine, neuron)
    pre, cuts = both.cut(asked.pre, asked.cuts or _none_cut(asked.pre))
    spec, dual, anchor = both.spec(asked.spec), both.dual(asked.dual), both.anchor(asked.anchor)
    return dual_bound(asked.engine, anchor, spec, pre, dual, cuts)[:, 0].reshape(2, -1).T


def _none_cut(pre: Mapping[str, Box]) -> dict[str, Cuts]:
    return {name: Cuts(*(np.zeros(end.shape, bool) for end in box)) for name, box in pre.items()}
