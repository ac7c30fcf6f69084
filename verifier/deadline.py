"""The moment by which a step has to end, for the steps that ask: those that may take long within one call.

Each thread has its own. Nothing that a step found which did not end is ever used.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

_GRACE = 0.2  # seconds for a step to end on its own with what it has, once the time is over

_limit: ContextVar[float] = ContextVar("limit", default=inf)


class OutOfTime(BaseException):
    """Raised in the middle of a step whose time is over; like Ctrl-C no `except Exception` swallows it."""


def set_limit(moment: float = inf) -> None:
    """What is done from here on should end at `moment`, as `time.perf_counter` tells it, and does a little later."""
    _limit.set(moment)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done inside should take no longer. Not around a `yield`: the caller would share the limit."""
    earlier = _limit.get()
    _limit.set(min(earlier, time.perf_counter() + seconds))
    try:
        yield
    finally:
        _limit.set(earlier)


def over() -> bool:
    """Whether it is time to end, with what there is."""
    return time.perf_counter() > _limit.get()


def left() -> float:
    """Seconds after which `check` raises; infinitely many where there is no limit."""
    return max(0.0, _limit.get() + _GRACE - time.perf_counter())


def check() -> None:
    """Raises `OutOfTime` where the time is over and the step goes on."""
    if left() == 0:
        raise OutOfTime
