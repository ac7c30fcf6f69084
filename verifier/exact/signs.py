"""Signs that no rounding changes: a sum of numbers that are never negative is never negative, in whatever order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..engine.engine import Engine
from ..engine.plan import Array
from ..engine.steps import Affine
from ..functions import FUNCTIONS, Box
from ..spec import Row

_MOST = 1 << 20  # entries of a step's matrix


class Signs(NamedTuple):
    """Entries [n] that are never negative, and never positive, whatever a runtime rounds."""

    above: Array
    below: Array

    def least(self, row: Row) -> bool:
        """Whether a row of these is never less than its offset."""
        return all((self.above if factor > 0 else self.below)[index] for index, factor in row.terms)


def output_signs(engine: Engine, box: Box) -> Signs:
    """Of the outputs, for inputs in a box [n]."""
    known = {0: Signs(box.lower >= 0, box.upper <= 0)}
    for step in engine.steps:
        if isinstance(step, Affine):
            known[step.out] = _summed(step, [known[number] for number in step.inputs])
            continue
        into, size = known[step.into], step.size
        if step.function is FUNCTIONS["Relu"]:
            known[step.out] = Signs(np.ones(size, bool), into.below)
        else:
            known[step.out] = Signs(np.full(size, step.function is FUNCTIONS["Square"]), np.zeros(size, bool))
    return known[engine.output]


def _summed(step: Affine, inputs: Sequence[Signs]) -> Signs:
    """From the signs of the products, which no rounding changes, and the offset's."""
    counts = [len(each.above) for each in inputs]
    if step.size * sum(counts) > _MOST:
        return Signs(np.zeros(step.size, bool), np.zeros(step.size, bool))
    offset = np.zeros(step.size) if step.offset is None else step.offset
    below, above = offset < 0, offset > 0
    for place, (count, signs) in enumerate(zip(counts, inputs, strict=True)):
        alone = [np.eye(count) if place == other else np.zeros((count, n)) for other, n in enumerate(counts)]
        weight = step.linear(*alone)  # [count, n]: a single product for each entry
        rises, falls = weight > 0, weight < 0
        below |= ((rises & ~signs.above[:, None]) | (falls & ~signs.below[:, None])).any(0)
        above |= ((rises & ~signs.below[:, None]) | (falls & ~signs.above[:, None])).any(0)
    return Signs(~below, ~above)
