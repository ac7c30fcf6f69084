"""What a network's own arithmetic rounds at its affine steps, of which a runtime may make one sum: a product with the
factors, constants and values that come after it.

    s (W x + b) + c    as    (s W) x + (s b + c),    the constant first or last, or with z for c

Then c meets as many sums as W x has terms, s W is rounded before it meets x, and may itself be below the smallest
number or beyond the greatest, whatever s (W x) is. What others read too stays a value of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from ..arithmetic import Deployed
from .plan import Array
from .steps import Affine, Bend

SLACK = 1.01  # an analysis of rounding rounds too
_FUSED = 8  # a bias, a fused multiply-add, constants that a runtime folds into the product before
_GREATEST = 3.99  # a factor times the smallest normal number, of the greatest that is finite


class Folding(NamedTuple):
    """Of the sum that a step may end. terms: of it; later: roundings of factors that may still be folded into it;
    sources: values that the folded factors meet; greatest: the size that no factor exceeds, folded or not."""

    terms: int
    later: int
    sources: frozenset[int]
    greatest: float


class NetworkRounding(NamedTuple):
    """What a network's own arithmetic rounds at a step: a part of all that is summed; fixed [1, n], whatever that is; a
    part of the entries of values `sources`, all together, where weights underflow."""

    part: float
    fixed: Array
    lost: float
    sources: frozenset[int]

    def of(self, size: Array, sizes: Mapping[int, Array]) -> Array:
        """For so much that is summed [B, n], and sizes [B, m] of values by number."""
        return np.asarray(self.part * size + self.fixed + self.beneath(sizes)) if self.part else self.fixed

    def beneath(self, sizes: Mapping[int, Array]) -> Array | float:
        """Of weights that underflow [B, 1]."""
        return sum((self.lost * sizes[number].sum(1, keepdims=True) for number in self.sources), 0.0)


def network_rounding(steps: Sequence[Affine | Bend], own: Deployed) -> Mapping[int, NetworkRounding]:
    """By the number of the value that an affine step makes; own: of the network's numbers."""
    together = foldings(steps)
    return {step.out: _rounding(step, together[step.out], own) for step in steps if isinstance(step, Affine)}


def _rounding(step: Affine, folding: Folding, own: Deployed) -> NetworkRounding:
    """Infinite where a factor may be no number of the network's type."""
    if step.moves or not own.unit:
        return NetworkRounding(0.0, np.full((1, step.size), own.least), 0.0, frozenset())
    together = own.summed(folding.terms + folding.later + _FUSED)
    part = own.summed(step.products + _FUSED)
    fixed = own.least * (1 + 2 * folding.terms + step.steepness)
    if step.mixes or len(step.inputs) > 1:
        part = together
    elif step.offset is not None:
        fixed = fixed + SLACK * together * abs(step.offset)
    if folding.greatest * own.least > _GREATEST:
        fixed = np.full((1, step.size), inf)
    return NetworkRounding(SLACK * part, fixed, own.least * folding.terms, folding.sources)


def foldings(steps: Sequence[Affine | Bend]) -> Mapping[int, Folding]:
    """By the number of the value that an affine step makes."""
    readers = Counter(number for step in steps for number in (step.inputs if isinstance(step, Affine) else [step.into]))
    later: dict[int, int] = {}
    for step in reversed(steps):
        if isinstance(step, Affine) and not step.mixes:
            own = later.get(step.out, 0) + _roundings(step)
            later.update({number: own for number in step.inputs if readers[number] == 1})
    found: dict[int, Folding] = {}
    for step in steps:
        if isinstance(step, Affine):
            before = [found[number] for number in step.inputs if number in found and readers[number] == 1]
            found[step.out] = _folded(step, before, later.get(step.out, 0))
    return found


def _folded(step: Affine, before: Sequence[Folding], later: int) -> Folding:
    sources = frozenset(step.inputs)
    if step.mixes:
        return Folding(_roundings(step), later, sources, step.greatest)
    terms = max((each.terms for each in before), default=0) + _roundings(step)
    greatest = max([1.0, *(each.greatest for each in before)]) * step.greatest
    return Folding(terms, later, sources.union(*(each.sources for each in before)), max(greatest, step.greatest))


def _roundings(step: Affine) -> int:
    return 0 if step.moves else step.products + (step.offset is not None)
