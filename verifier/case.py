"""One input on its way through the stages: what is known of it so far."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from .functions import Box
from .outcome import Outcome, Verdict


@dataclass(eq=False)
class Case:
    """label: what the input came with. goal: what it is to keep (`tasks`), from the prediction on. lower: best float64
    bounds of the task's rows [M], and which of them prove their row, whatever rounded; pre: boxes of the ReLUs' inputs
    [n], by value name.
    """

    index: int
    x: np.ndarray
    label: Any
    lower: np.ndarray
    proved: np.ndarray
    seconds: float = 0.0
    margin: float | None = None
    pre: dict[str, Box] | None = None
    goal: Any = None

    def outcome(self, verdict: Verdict, reason: str, counterexample: np.ndarray | None = None) -> Outcome:
        return Outcome(self.index, self.label, verdict, self.margin, self.seconds, reason, counterexample)


def finite(value: float) -> float | None:
    """A number that JSON can hold, or None."""
    return value if isfinite(value) else None
