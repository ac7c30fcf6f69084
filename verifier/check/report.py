"""What a check says of every answer of a certificate."""

import enum
from collections import Counter
from dataclasses import dataclass
from typing import Any


class Status(str, enum.Enum):
    PROVED = "proved"
    FALSIFIED = "falsified"
    MISCLASSIFIED = "misclassified"
    NOT_COVERED = "not covered"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """place, why: of what is refused or not covered."""

    key: int
    status: Status
    place: str = ""
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"key": self.key, "status": self.status.value}
        return found | ({"place": self.place, "why": self.why} if self.why else {})


@dataclass(frozen=True)
class Report:
    """assumptions: what the statement rests on beside this code, as sentences."""

    arithmetic: str
    model: str
    certificate: str  # SHA-256 of the file
    questions: dict[str, Any]
    outcomes: tuple[Outcome, ...]
    assumptions: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status.value: found[status] for status in Status}

    @property
    def accepted(self) -> bool:
        """Nothing is refused."""
        return all(outcome.status is not Status.REFUSED for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "glscert/check/1",
            "accepted": self.accepted,
            "arithmetic": self.arithmetic,
            "assumptions": list(self.assumptions),
            "model": {"sha256": self.model},
            "certificate": {"sha256": self.certificate},
            "questions": self.questions,
            "counts": self.counts,
            "answers": [outcome.as_json() for outcome in self.outcomes],
        }
