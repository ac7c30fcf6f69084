"""In search of a counterexample: descents from the middle of each region, and from random points."""

from collections import Counter
from collections.abc import Iterator

from ..answer import Verdict
from ..search.falsify import Target
from .ledger import still_open
from .run import Ended, Run

SHORT, LONG = (1, 20), (5, 50)  # restarts and steps
_APART = 4  # clauses of a case that are each descended by themselves from the beginning


def attack(run: Run) -> Iterator[Ended]:
    """The first, short one: each region once, towards whatever clause is nearest; a few clauses each by themselves."""
    targets: list[Target] = []
    for case in still_open(run.cases):
        clauses = run.alive(case)
        targets += clauses if len(clauses) <= _APART else [(number, None) for number in dict(clauses)]
    yield from descents(run, targets, SHORT)


def descents(run: Run, targets: list[Target], effort: tuple[int, int]) -> Iterator[Ended]:
    """On clauses, each by the number of its group and its own within that, None for the nearest of them."""
    if not targets:
        return
    restarts, steps = effort
    shares = Counter(run.case[number] for number, _ in targets)
    run.ledger.begin(shares)
    witnesses = run.falsifier.descend(targets, restarts=restarts, steps=steps, stop=run.ledger.stop)
    run.ledger.bill(shares)
    for owner, witness in witnesses.items():
        yield run.end(run.cases[owner], Verdict.FALSIFIED, "attack", witness)
    yield from run.late(shares)
