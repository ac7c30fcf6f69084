"""What verification says about one input: a verdict with its reason, never an exception."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np


class Verdict(str, Enum):
    VERIFIED = "verified"
    FALSIFIED = "falsified"
    MISCLASSIFIED = "misclassified"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Outcome:
    """One input's result.

    label: a class; of a regression a number, a list of them, or None. margin: the least of the rows that are asked
    for (`tasks`), of a classification min over j != t of y_t - y_j; verified: a float64 lower bound on the box; unknown: the
    best found, of the search's float32; falsified, misclassified: the value at the point that onnxruntime evaluated.
    None where it is not finite. reason: what decided, or for unknown what stopped the search. counterexample: in the
    input's shape, what onnxruntime was fed.
    """

    index: int
    label: Any
    verdict: Verdict
    margin: float | None
    seconds: float
    reason: str
    counterexample: np.ndarray | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "label": self.label,
            "verdict": self.verdict.value,
            "margin": self.margin,
            "seconds": round(self.seconds, 6),
            "reason": self.reason,
        }
