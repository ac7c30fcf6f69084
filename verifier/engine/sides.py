"""The two sides of splits: for piecewise linear networks as flips of a job, else as boxes cut in two."""

from collections.abc import Mapping

import numpy as np

from ..functions import Box
from .anchor import Anchor
from .dual import dual_bounds
from .dual_job import DualJob
from .dual_values import Cuts, Dual
from .engine import Engine
from .neuron_rows import rows_program
from .plan import Array
from .substitution import Spec


def split_sides(
    engine: Engine,
    spec: Spec,
    pre: Mapping[str, Box],
    dual: Dual,
    cuts: Mapping[str, Cuts],
    anchor: Anchor,
    neurons: Array,
) -> Array:
    """The bounds [B, V, 2] of both sides of splits of neurons [B, V], counted through all of `pre` in its order, the
    upper first; of a negative one they say nothing. spec: one row, or several that the dual's weights sum to one."""
    asked = DualJob(engine, spec, pre, dual, cuts, anchor)
    if engine.piecewise_linear:
        job = asked.job._replace(flips=_flips(engine, pre, neurons))
        flipped = rows_program(engine, anchor).bounds(job).flipped
        return np.asarray(flipped).T.reshape(*neurons.shape, 2) - asked.held(dual)[:, :, None]
    sides = []
    for each in neurons.T:
        parts, moved = _halves(engine, pre, cuts, each)
        every = np.tile(np.arange(len(each)), 2)
        twice = Spec(*(part[every] if len(part) > 1 else part for part in spec))
        found = dual_bounds(engine, twice, parts, dual.take(every), moved, anchor.take(every))
        sides.append(found.bound[:, 0].reshape(2, -1).T)
    return np.stack(sides, 1)


def _flips(engine: Engine, pre: Mapping[str, Box], neurons: Array) -> tuple[Array, Array, Array]:
    """Lining, entry and sign of the neurons [B, V], each [2 V, B]: of both sides."""
    ends = np.cumsum([box.lower.shape[1] for box in pre.values()])
    chosen = np.maximum(neurons, 0)
    which = np.searchsorted(ends, chosen, side="right")
    lining = np.array([engine.bends[name].lines for name in pre])[which]
    entry = chosen - np.concatenate([[0], ends])[which]
    sign = np.tile(np.tile([1.0, -1.0], neurons.shape[1])[:, None], len(neurons))
    return lining.T.repeat(2, 0), entry.T.repeat(2, 0), sign.astype(engine.dtype)


def _halves(
    engine: Engine, pre: Mapping[str, Box], cuts: Mapping[str, Cuts], neuron: Array
) -> tuple[dict[str, Box], dict[str, Cuts]]:
    """B boxes cut in two at a neuron each [B], a negative one nowhere: first all upper sides, then all lower."""
    boxes, moved, at, count = dict[str, Box](), dict[str, Cuts](), neuron, len(neuron)
    for name, box in pre.items():
        point, size = engine.bends[name].function.cut(box), box.lower.shape[1]
        here = np.flatnonzero((at >= 0) & (at < size))
        entry = at[here]
        lower, upper, low, high = (np.concatenate([end, end]) for end in (*box, *cuts[name]))
        lower[here, entry] = upper[here + count, entry] = point[here, entry]
        low[here, entry] = high[here + count, entry] = True
        boxes[name], moved[name] = Box(lower, upper), Cuts(low, high)
        at = np.where(at >= size, at - size, -1)
    return boxes, moved
