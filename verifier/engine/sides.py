"""The two sides of splits: for piecewise linear networks as flips of a job, else as boxes cut in two."""

from collections.abc import Mapping

import numpy as np

from ..functions import Box
from .anchor import Anchor
from .dual_values import Cuts, Dual
from .engine import Engine
from .plan import Array
from .substitution import Spec


def flips(engine: Engine, pre: Mapping[str, Box], neurons: Array) -> tuple[Array, Array, Array]:
    """Lining, entry and sign of the neurons [B, V], each [2 V, B]: of both sides."""
    ends = np.cumsum([box.lower.shape[1] for box in pre.values()])
    chosen = np.maximum(neurons, 0)
    which = np.searchsorted(ends, chosen, side="right")
    lining = np.array([engine.bends[name].lines for name in pre])[which]
    entry = chosen - np.concatenate([[0], ends])[which]
    sign = np.broadcast_to(np.tile([1.0, -1.0], neurons.shape[1])[:, None], (2 * neurons.shape[1], len(neurons)))
    return lining.T.repeat(2, 0), entry.T.repeat(2, 0), sign.astype(engine.dtype)


class Halves:
    """B subdomains cut in two at a neuron each [B], a negative one nowhere: first all upper sides, then all lower."""

    def __init__(self, engine: Engine, neuron: Array) -> None:
        self._engine, self._neuron = engine, neuron

    def cut(self, pre: Mapping[str, Box], cuts: Mapping[str, Cuts]) -> tuple[dict[str, Box], dict[str, Cuts]]:
        boxes, moved, at, count = dict[str, Box](), dict[str, Cuts](), self._neuron, len(self._neuron)
        for name, box in pre.items():
            point, size = self._engine.bends[name].function.cut(box), box.lower.shape[1]
            here = np.flatnonzero((at >= 0) & (at < size))
            entry = at[here]
            lower, upper, low, high = (np.concatenate([end, end]) for end in (*box, *cuts[name]))
            lower[here, entry] = upper[here + count, entry] = point[here, entry]
            low[here, entry] = high[here + count, entry] = True
            boxes[name], moved[name] = Box(lower, upper), Cuts(low, high)
            at = np.where(at >= size, at - size, -1)
        return boxes, moved

    @staticmethod
    def both(value: Array) -> Array:
        return np.concatenate([value, value])

    def dual(self, dual: Dual) -> Dual:
        slopes = {name: self.both(value) for name, value in dual.slopes.items()}
        multipliers = {name: self.both(value) for name, value in dual.multipliers.items()}
        return Dual(slopes, multipliers, None if dual.weights is None else self.both(dual.weights))

    def anchor(self, anchor: Anchor) -> Anchor:
        every = np.arange(len(anchor.box.lower))
        return anchor.take(self.both(every))

    def spec(self, spec: Spec) -> Spec:
        return Spec(*(self.both(part) if len(part) > 1 else part for part in spec))
