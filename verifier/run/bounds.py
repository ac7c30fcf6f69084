"""Rows of groups side by side, and what their bounds say of the clauses."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ..engine.anchor import Anchor
from ..engine.ball import stacked
from ..functions import Box
from .run import Run

Array = np.ndarray


def parts(run: Run, size: int) -> Iterator[list[int]]:
    """Numbers of the groups that are open, so many at a time; the work for them is begun."""
    todo = run.open_groups()
    for first in range(0, len(todo), size):
        numbers = [number for number in todo[first : first + size] if not run.case[number].decided]
        if numbers:
            run.ledger.begin(Counter(run.case[number] for number in numbers))
            yield numbers


def anchored(run: Run, numbers: Sequence[int]) -> Anchor:
    groups = [run.groups[number] for number in numbers]
    box = Box(*(np.stack([group.proof[end] for group in groups]) for end in (0, 1)))
    return Anchor(box, stacked([group.ball for group in groups if group.ball is not None]))


def padded_rows(run: Run, numbers: Sequence[int]) -> tuple[Array, Array]:
    """rows [G, C M, K] and offset [G, C M] of groups that may have fewer: then a row is repeated."""
    groups = [run.groups[number] for number in numbers]
    clauses, most = (max(group.rows.shape[axis] for group in groups) for axis in (0, 1))
    rows, offset = [], []
    for group in groups:
        every = (
            np.arange(clauses).clip(max=len(group.rows) - 1)[:, None],
            np.arange(most).clip(max=group.rows.shape[1] - 1),
        )
        rows.append(group.rows[every].reshape(clauses * most, -1))
        offset.append(group.offset[every].ravel())
    return np.stack(rows), np.stack(offset)


def keep(run: Run, numbers: Sequence[int], lower: Array, needed: Array) -> None:
    """Closes the clauses that bounds [G, C M] of a row prove, whatever rounded; NaN closes nothing. Keeps the best
    bound of every clause."""
    most = max(run.groups[number].offset.shape[1] for number in numbers)
    for place, number in enumerate(numbers):
        group = run.groups[number]
        clauses, count = group.offset.shape
        own, enough = (part[place].reshape(-1, most)[:clauses, :count] for part in (lower, needed))
        group.alive[(own > enough).any(1)] = False
        own = np.where(np.isnan(own), -np.inf, own)
        run.best[number] = np.where(own.max(1) > run.lower[number], own.argmax(1), run.best[number])
        run.lower[number] = np.maximum(run.lower[number], own.max(1))
        run.near[number] = own.max(1) >= -enough.max(1)
