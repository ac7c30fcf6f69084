"""A hard time limit: no step may outlive it, whatever it does."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .deadline import OutOfTime

_AGAIN = 0.01  # seconds
_MOST = 1e8  # three years: a timer takes no number without end


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
    signal.setitimer(signal.ITIMER_REAL, min(seconds, _MOST))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
        sys.unraisablehook = reported
