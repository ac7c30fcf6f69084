"""Time limits: the time for a single property counts from the process's begin, and no step may outlive it."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from glscert.verifier.deadline import OutOfTime as OutOfTime

from . import BEGAN

_AGAIN = 0.01  # seconds
_began: float | None = None  # where a process of its own runs one command


@contextmanager
def counting() -> Iterator[None]:
    """Within, time counts from the process's begin."""
    global _began
    _began = BEGAN
    try:
        yield
    finally:
        _began = None


def began() -> float:
    """When the time of the only thing asked began, as `time.perf_counter` tells it."""
    return time.perf_counter() if _began is None else _began


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """`OutOfTime` after so many seconds, in the main thread, where the system has such a signal.

    Python drops what is raised in a finaliser or in a callback of a weak reference: then it rings again."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTime

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if dropped.exc_type is OutOfTime:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            reported(dropped)

    reported, sys.unraisablehook = sys.unraisablehook, again
    earlier = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
        sys.unraisablehook = reported
