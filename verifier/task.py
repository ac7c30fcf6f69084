"""What is asked of the scores of a labelled input: rows to be proved, and a margin that onnxruntime's scores have.
`tasks` has the kinds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from .engine.substitution import Spec
from .network import Network
from .spec import Row


@dataclass(frozen=True)
class Task(ABC):
    """network: its graph is what the rows are about, its runtime the file. A goal is what an input has to keep: its
    label, or onnxruntime's scores for it; goals of N inputs are one array [N, ...]."""

    network: Network
    name: ClassVar[str]

    @property
    @abstractmethod
    def rows(self) -> int:
        """Of each input."""

    @abstractmethod
    def labels(self, y: np.ndarray | None, count: int) -> list[Any]:
        """The labels of so many inputs. Raises InputError where y holds none."""

    @abstractmethod
    def spec(self, goals: np.ndarray) -> Spec:
        """In float64: rows [N, M, K], offset [N, M]."""

    @abstractmethod
    def margins(self, scores: np.ndarray, goals: np.ndarray) -> np.ndarray:
        """[N], of scores [N, K]: how far each is on the right side."""

    @abstractmethod
    def why_wrong(self, scores: np.ndarray, label: Any) -> str:
        """What is wrong with the prediction [K] for an input of this label."""

    def exact_rows(self, goal: Any) -> tuple[tuple[Row, ...], ...]:
        """Of each row of one goal the clause that it is broken, in exact numbers."""
        rows, offset = (part[0] for part in self.spec(goal[None]))
        terms = [tuple((int(k), Fraction(float(row[k]))) for k in np.flatnonzero(row)) for row in rows]
        return tuple((Row(own, Fraction(end)),) for own, end in zip(terms, offset.tolist(), strict=True))

    def goals(self, scores: np.ndarray, labels: list[Any]) -> np.ndarray:
        return np.array(labels, dtype=np.int64)

    def predicted(self, scores: np.ndarray, labels: list[Any]) -> np.ndarray:
        """Margins [N] of predictions, by their labels."""
        return self.margins(scores, self.goals(scores, labels))

    def broken(self, margin: float) -> bool:
        """Never by NaN."""
        return margin <= 0

    def described(self) -> dict[str, Any]:
        """For a report's `property`."""
        return {"task": self.name}
