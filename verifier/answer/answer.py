"""What is said about a question: an answer with its reason, never an exception."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from .proof import NotKept, Proof


class Verdict(str, Enum):
    """VNN-LIB calls the first two unsat and sat. Misclassified: a labelled input whose label does not win to begin
    with. Timeout: unknown when the time was over."""

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    MISCLASSIFIED = "misclassified"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"

    @property
    def word(self) -> str:
        """What VNN-LIB calls it."""
        return {"verified": "unsat", "falsified": "sat"}.get(self.value, self.value)


class Witness(NamedTuple):
    """x [inputs], flat: what onnxruntime was fed, inside the region, or where no number of the runtime's type lies in
    an input's interval, the nearest; y: its outputs, flat; margin: by how much what was
    asked for holds there, NaN where that is no single number."""

    x: np.ndarray
    y: np.ndarray
    margin: float = float("nan")


@dataclass(frozen=True)
class Answer:
    """Whether what is asked about can happen, or a label wins everywhere.

    reason: what decided, or what stopped the search. margin: how far the worst case is from happening; verified: a
    float64 lower bound on its region; unknown, timeout: the lowest bound of what stayed open; falsified, misclassified:
    the value at the point that onnxruntime evaluated. None where it is not known, or not finite. witness: of falsified.
    visited: subdomains bounded. nearest: inputs for which the nearest float32 number stands in some clause, since their
    interval holds none. remark: what a user should know of the question, "" where there is nothing. proof: of verified,
    where it was asked for (`Effort.proofs`), what closed its regions.
    """

    verdict: Verdict
    reason: str
    seconds: float
    margin: float | None = None
    witness: Witness | None = None
    visited: int = 0
    nearest: tuple[int, ...] = ()
    remark: str = ""
    proof: Proof | NotKept | None = None
