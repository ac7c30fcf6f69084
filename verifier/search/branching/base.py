"""What a rule is told of the subdomains that are to be split."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ...engine.dual import Cuts, Dual
from ...engine.plan import Array
from ...functions import Box
from ..problem import Batch


class Undivided(NamedTuple):
    """D subdomains: boxes pre [D, n] and their cut ends by name of the nonlinearity's input, the dual of their bounds;
    impact [D, N]: of every neuron, counted through all values in the order of pre, how much of the bound a split of it
    may win back, -inf where there is nothing to split; known [D]: the bounds, which parts of the subdomains keep."""

    work: Batch
    pre: Mapping[str, Box]
    cuts: Mapping[str, Cuts]
    dual: Dual
    impact: Array
    known: Array


# -> the chosen neuron of each subdomain [D], counted as in `impact`; -1: none is left
Rule = Callable[[Undivided], Array]


def highest(impact: Array, count: int) -> Array:
    """The neurons [D, count] of most impact, in order; -1 where there are no more to be split."""
    rows, left, found = np.arange(len(impact)), impact.copy(), []
    for _ in range(min(count, impact.shape[1])):
        best = left.argmax(1)
        found.append(np.where(left[rows, best] > -np.inf, best, -1))
        left[rows, best] = -np.inf
    return np.stack(found, 1) if found else np.full((len(impact), 1), -1)
