"""The best of a few neurons by looking one step ahead (filtered smart branching, De Palma et al. 2021,
arXiv:2104.06718).

Candidates are those whose relaxation gives most of the bound away; each one's two children are bounded with the
parent's slopes, and that is taken whose worse child is best, a little of the better child counting too.
"""

import numpy as np

from ...engine.plan import Array
from ...engine.sides import split_sides
from .base import Undivided, highest

CANDIDATES = 4
_BETTER_CHILD = 0.1  # its weight beside the worse child's


def filtered(open_: Undivided) -> Array:
    """Where no candidate gains on what is known, of smooth networks the first by impact it is; of ReLUs those that fall
    short of it still say which is best."""
    top = highest(open_.impact, CANDIDATES)
    first, count = top[:, 0], int((top >= 0).sum(1).max(initial=0))
    if count < 2:
        return first
    top = top[:, :count]
    work = open_.work
    sides = split_sides(work.engine, work.spec, open_.pre, open_.dual, open_.cuts, work.anchor, top)
    if not work.engine.piecewise_linear:  # a curve's lines over half of its box may be worse placed
        sides = np.maximum(sides, open_.known[:, None, None])
    value = sides.min(2) + _BETTER_CHILD * np.minimum(sides.max(2), 0)
    gain = np.where(top >= 0, value, -np.inf)
    return np.where(first < 0, first, top[np.arange(len(top)), gain.argmax(1)])
