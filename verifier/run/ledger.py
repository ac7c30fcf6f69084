"""The time of work that several cases have a part in: begun for some of them, billed to those that it served."""

import time
from collections.abc import Iterable, Mapping
from math import inf

from .. import deadline
from .question import Case


class Ledger:
    def __init__(self) -> None:
        self.billed = time.perf_counter()  # up to when time was shared out
        self.shares: Mapping[Case, float] = {}  # of the work that was begun
        self._until = inf  # when all that it is for are out of time

    def begin(self, shares: Mapping[Case, float]) -> None:
        """Work for these cases; it may stop when all of them are out of time."""
        self.shares, whole = shares, sum(shares.values())
        self._until = self.billed + max(
            ((case.timeout - case.seconds) * whole / own for case, own in shares.items()), default=inf
        )
        deadline.set_limit(self._until)

    def stop(self) -> bool:
        """Whether the work that was begun is out of time."""
        return time.perf_counter() > self._until

    def bill(self, shares: Mapping[Case, float]) -> None:
        """Shares out the time since the last bill."""
        deadline.set_limit()
        now, whole = time.perf_counter(), sum(shares.values())
        for case, own in shares.items():
            case.seconds += (now - self.billed) * own / whole
        self.billed = now

    def skip(self) -> None:
        """The time since the last bill is nobody's."""
        self.billed = time.perf_counter()


def still_open(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if not case.decided]
