"""DeepPoly's bounds of every region's rows, over boxes of the neurons that the search goes on with."""

from collections.abc import Iterator

import numpy as np

from ..engine.dual import dual_bounds, start_dual
from ..engine.errors import Errors
from ..engine.preactivations import unstable_preactivations
from ..engine.substitution import Spec
from ..functions import Box
from ..search.memory import inputs_at_once, rows_at_once
from ..search.proof import closer
from .bounds import anchored, keep, padded_rows, parts
from .run import Ended, Run


def lines(run: Run) -> Iterator[Ended]:
    """run.pre: the boxes of each group that stays open."""
    engine, memory = run.engine, run.effort.memory
    for numbers in parts(run, inputs_at_once(engine, memory)):
        anchor, (rows, offset) = anchored(run, numbers), padded_rows(run, numbers)
        errors = Errors(engine, anchor)
        pre = unstable_preactivations(engine, anchor, errors, memory=memory // 8, stop=run.ledger.stop)
        size, found, needed = rows_at_once(engine, len(numbers), memory), [], []
        for first in range(0, rows.shape[1], size):
            spec = Spec(rows[:, first : first + size], offset[:, first : first + size])
            start = start_dual(engine, pre, spec.rows.shape[1])
            lower = dual_bounds(engine, spec, pre, start, None, anchor).bound
            found.append(lower)
            needed.append(closer(engine, anchor, spec, pre, errors, lower, memory=memory))
        keep(run, numbers, np.concatenate(found, 1), np.concatenate(needed, 1))
        for place, number in enumerate(numbers):
            if run.groups[number].alive.any():  # copies: a view would keep the boxes of the whole part alive
                run.pre[number] = {name: Box(*(end[place].copy() for end in box)) for name, box in pre.items()}
        yield from run.billed(numbers, "DeepPoly")
