"""The time for a single property counts from the process's begin."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import BEGAN

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
