"""Training's programs, compiled for a network's shapes where there is a compiler and nobody said otherwise."""

import ctypes
import threading
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..engine import compiled

HEADERS = Path(__file__).with_name("c")
_lock = threading.Lock()
_enabled = True


class Source(NamedTuple):
    """A program's text and the number of rows it works on at a time."""

    text: str
    lanes: int


class Program:
    """A loaded library: the functions of c/chain.h."""

    def __init__(self, loaded: ctypes.CDLL, side_by_side: int) -> None:
        self.lanes = side_by_side
        self.substitute: Any = loaded.substitute
        self.gradient: Any = loaded.gradient
        self.scratch_reals: Any = loaded.scratch_reals
        self.substitute.restype = self.gradient.restype = None
        self.scratch_reals.restype = ctypes.c_long


def enable(on: bool = True) -> None:
    """Whether to compile from now on: a bound of a few inputs is there before a compiler would have started."""
    global _enabled
    _enabled = on


def enabled() -> bool:
    """Whether programs are compiled."""
    return _enabled and compiled.found()


def program(source: Source) -> Program | None:
    """The source compiled and loaded; None where that is not enabled or did not work."""
    if not enabled():
        return None
    with _lock:  # a second thread waits for the first one's program
        return _load(source)


@cache
def _load(source: Source) -> Program | None:
    loaded = compiled.library(source.text, HEADERS)
    return None if loaded is None else Program(loaded, source.lanes)
