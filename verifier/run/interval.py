"""Interval images: what the cheapest bounds close (Gowal et al. 2018)."""

from collections.abc import Iterator

from ..engine.errors import analysed
from ..engine.images import affine_images, images, row_bounds
from ..engine.substitution import Spec
from ..search.memory import inputs_per_pass
from .bounds import anchored, keep, padded_rows, parts
from .run import Ended, Run


def intervals(run: Run) -> Iterator[Ended]:
    for numbers in parts(run, _room(run)):
        anchor, (rows, offset) = anchored(run, numbers), padded_rows(run, numbers)
        known = images(run.engine, anchor.box, None if anchor.ball is None else affine_images(run.engine, anchor))
        lower = row_bounds(run.engine, known, Spec(rows, offset))
        pre = {name: known[bend.into] for name, bend in run.engine.bends.items()}
        needed = analysed(run.engine, anchor, pre, sound=False).rows(rows, offset)
        keep(run, numbers, lower, needed)
        yield from run.billed(numbers, "IBP")


def _room(run: Run) -> int:
    """Groups that a pass may hold."""
    return inputs_per_pass(run.engine, run.effort.memory, rows=max(group.offset.size for group in run.groups))
