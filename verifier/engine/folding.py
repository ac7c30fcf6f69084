"""What a runtime may make one sum of: a product with the factors, constants and values that come after it.

    s (W x + b) + c    as    (s W) x + (s b + c),    the constant first or last, or with z for c

Then c meets as many sums as W x has terms, s W is rounded before it meets x, and may itself be below the smallest
number or beyond the greatest, whatever s (W x) is. What others read too stays a value of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .steps import Affine, Bend


class Folding(NamedTuple):
    """Of the sum that a step may end. terms: of it; later: roundings of factors that may still be folded into it;
    sources: values that the folded factors meet; greatest: the size that no factor exceeds, folded or not."""

    terms: int
    later: int
    sources: frozenset[int]
    greatest: float


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
