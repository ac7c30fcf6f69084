"""When the process began: the time for a single property counts from there, imports included."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glscert.verifier.settings import Effort

_LOADED = time.monotonic()
_began: float | None = None  # where a process of its own runs one command


def start() -> None:
    """The time counts from when this module was loaded, which is first."""
    global _began
    _began = _LOADED


def remaining(effort: "Effort") -> "Effort":
    """With what is left of its time."""
    if _began is None:
        return effort
    return replace(effort, timeout=max(0.0, effort.timeout - (time.monotonic() - _began)))
