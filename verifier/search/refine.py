"""Tighter boxes of the nonlinearities' inputs: each unstable neuron's two bounds climb over slopes of their own.

    l_j = max over α in [0, 1] of the back-substituted bound of z_j,   layer by layer, over the boxes found so far

(α-CROWN with intermediate bounds, Xu et al. 2021, arXiv:2011.13824; here each neuron's slopes are its own, which is
the tightest form.) The climb is in float32, its result is bounded again in float64, less
what may have rounded.
"""

from collections.abc import Generator, Mapping

import numpy as np

from ..engine.anchor import Anchor
from ..engine.dual import dual_bounds, start_dual
from ..engine.engine import Engine
from ..engine.errors import Errors, analysed
from ..engine.neuron_rows import Neurons, climbed
from ..engine.plan import Array
from ..engine.steps import Bend
from ..engine.substitution import Spec, relax
from ..functions import Box
from .proof import double

_COPIES = 12  # of the slopes, alive together while they climb


def refined(
    engine: Engine, anchor: Anchor, pre: Mapping[str, Box], *, steps: int, memory: int
) -> Generator[int, None, dict[str, Box]]:
    """Boxes within `pre` of one anchor, [1, n], all float64. Yields between parts of the work, that it bounded no
    subdomain.
    """
    found, errors, bounds = dict(pre), analysed(engine, anchor, pre), _kinked if engine.piecewise_linear else _curved
    for name, (bends, _) in below(engine).items():
        if name in engine.exact:
            continue
        known = {each: found[each] for each in bends}
        index = _neighbours(engine, name, np.flatnonzero(engine.bends[name].function.unstable(found[name])[0]))
        slopes = sum(box.lower.shape[1] for box in known.values())
        size = max(1, memory // (2 * _COPIES * 4 * max(slopes, 1)))
        lower, upper = (end[0].copy() for end in found[name])
        for first in range(0, len(index), size):
            yield 0
            part = index[first : first + size]
            least, least_negated = bounds(engine, name, part, anchor, known, errors, steps)
            lower[part] = np.fmax(lower[part], least)
            upper[part] = np.fmin(upper[part], -least_negated)
        found[name] = Box(lower[None], upper[None])
    return found


def _neighbours(engine: Engine, name: str, neuron: Array) -> Array:
    """Those next to each other that see much the same of the values below."""
    _, height, width = engine.plan.values[engine.bends[name].into].shape
    return neuron[np.argsort(neuron % (height * width), kind="stable")]


def _kinked(
    engine: Engine, name: str, part: Array, anchor: Anchor, known: Mapping[str, Box], errors: Errors, steps: int
) -> Array:
    """The bounds [2, m] of v and of -v for the neurons `part`."""
    single, anchors, boxes = engine.single, anchor.astype(np.float32), _single(known)
    neurons = Neurons(name, np.repeat(part, 2), np.tile([1.0, -1.0], len(part)))
    live = {each: np.flatnonzero(engine.bends[each].function.unstable(box)[0]) for each, box in known.items()}
    _, slopes = climbed(single, neurons, relax(single, boxes), anchors, live, steps=steps)
    bound, _ = climbed(engine, neurons, relax(engine, known), anchor, live, slopes=slopes, errors=errors)
    return np.asarray(bound.reshape(-1, 2).T)


def _curved(
    engine: Engine, name: str, part: Array, anchor: Anchor, known: Mapping[str, Box], errors: Errors, steps: int
) -> Array:
    """The same where slopes choose among tangents."""
    own = engine.upto(name)
    rows = np.zeros((2, len(part), own.outputs))
    rows[0, np.arange(len(part)), part] = 1
    rows[1] = -rows[0]
    spec, boxes = Spec(rows.reshape(1, -1, own.outputs), np.zeros((1, 2 * len(part)))), _single(known)
    low = Spec(*(each.astype(np.float32) for each in spec))
    start = start_dual(own.single, boxes, 2 * len(part))
    best = dual_bounds(own.single, low, boxes, start, None, anchor.astype(np.float32), steps=steps).dual
    found = dual_bounds(own, spec, known, double(best), None, anchor, look=True)
    needed = errors.neurons(name, np.tile(part, 2), found.shown().met)
    return np.asarray((found.bound - needed).reshape(2, -1))


def _single(known: Mapping[str, Box]) -> dict[str, Box]:
    return {name: Box(*(end.astype(np.float32) for end in box)) for name, box in known.items()}


def below(engine: Engine) -> dict[str, tuple[list[str], int]]:
    """Of each bend, the bends that its input depends on, and the multiplications of one pass there."""
    found = {}
    for name, bend in engine.bends.items():
        needed, bends, work = {bend.into}, list[str](), 1
        for step in reversed(engine.steps):
            if step.out not in needed:
                continue
            if isinstance(step, Bend):
                needed.add(step.into)
                bends.append(step.name)
            else:
                needed.update(step.inputs)
                work += step.multiplications
        found[name] = bends[::-1], work
    return found
