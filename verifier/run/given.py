"""Labelled inputs that onnxruntime is fed as the nearest numbers of its type: where the label wins only with those, no
bound can prove it."""

from collections.abc import Iterator

from ..answer import Verdict
from .attack import LONG, descents
from .ledger import still_open
from .run import Ended, Run

_WHY = "the label wins only at the nearest float32 numbers, which onnxruntime is fed, not at the input"


def given(run: Run) -> Iterator[Ended]:
    """A longer attack, else unknown."""
    lost = []
    for case in still_open(run.cases):
        group = case.groups[0]
        if group.labelled is None or group.labelled.given:
            continue
        y = run.engine.evaluate(group.labelled.x[None])[0]
        if ((group.rows @ y + group.offset) <= 0).any():
            lost.append(case)
    yield from descents(run, [pair for case in lost for pair in run.alive(case)], LONG)
    for case in still_open(lost):
        yield run.end(case, Verdict.UNKNOWN, _WHY)
