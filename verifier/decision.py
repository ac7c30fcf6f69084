"""What is said about a query: an answer with its reason, never an exception."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np


class Answer(str, Enum):
    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"


class Witness(NamedTuple):
    """x [inputs] float32 inside the box, or where no such number lies in an input's interval, the nearest; y [outputs]
    as onnxruntime returns them for it."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Decision:
    """Whether the query's unsafe set can be reached.

    reason: what decided, or what stopped the search. witness: of `sat`. visited: subdomains bounded. bound: the lowest
    bound of what stayed open, None where nothing did or nothing is known. nearest: inputs for which the nearest float32
    number stands in some case, since their interval holds none.
    """

    verdict: Answer
    reason: str
    seconds: float
    witness: Witness | None = None
    visited: int = 0
    bound: float | None = None
    nearest: tuple[int, ...] = ()
