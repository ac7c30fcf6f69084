"""Exact arithmetic where a comparison is strict: what never passes a border may have no other proof."""

from collections.abc import Iterable, Iterator

import numpy as np

from ..answer import Verdict, Witness
from ..answer.proof import EXACT, NotKept
from .ledger import still_open
from .question import Case
from .run import Ended, Run

_KINKS = 4  # clauses of a region


def borders(run: Run) -> Iterator[Ended]:
    yield from refute_borders(run, run.strict(run.cases))


def refute_borders(run: Run, cases: Iterable[Case]) -> Iterator[Ended]:
    """Exact bounds of whole regions, once."""
    for case in still_open(cases):
        if case in run.looked_at:
            continue
        run.looked_at.add(case)
        for number in run.numbers(case):
            run.ledger.begin({case: 1})
            if not case.late:
                _close(run, number)
            run.ledger.bill({case: 1})
            witness = None if case.late else _at_kinks(run, number)
            run.ledger.bill({case: 1})
            if witness is not None:
                yield run.end(case, Verdict.FALSIFIED, "linear program", witness)
                break
        if case.decided:
            continue
        if not run.alive(case):
            yield run.end(case, Verdict.VERIFIED, "exact bounds")
        yield from run.late([case])


def _close(run: Run, number: int) -> None:
    alive = run.groups[number].alive
    before = alive.copy()
    run.border.close(number)
    for clause in np.flatnonzero(before & ~alive).tolist():
        run.closings[number, clause] = NotKept(EXACT)


def _at_kinks(run: Run, number: int) -> Witness | None:
    """Of a small network's first clauses, where bounds over the whole region are taken."""
    for clause in np.flatnonzero(run.groups[number].alive)[:_KINKS].tolist():
        point = run.border.kink(number, clause)
        witness = None if point is None else run.falsifier.replay(number, point)
        if witness is not None:
            return witness
    return None
