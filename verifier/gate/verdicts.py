"""What is known of every input, or every property, that a policy asks of one model. It says nothing of where it comes
from: a search, or whatever else decides the same questions."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from .digest import brief

VERIFIED, FALSIFIED, MISCLASSIFIED, UNKNOWN, ERROR = "verified", "falsified", "misclassified", "unknown", "error"
WORDS = (VERIFIED, FALSIFIED, MISCLASSIFIED, UNKNOWN, ERROR)
_OF_PROPERTIES = {"unsat": VERIFIED, "sat": FALSIFIED, "unknown": UNKNOWN, "timeout": UNKNOWN, "error": ERROR}


class Decided(NamedTuple):
    """key: the number of the input, or the name of the property."""

    key: str
    verdict: str
    reason: str


class Verdicts(NamedTuple):
    """what: input or property. sha256: the model's. source: what the inputs are taken from. about: what was asked,
    which another run has to ask too for the two to be compared. asked: of properties the SHA-256 of each."""

    what: str
    sha256: str
    source: str
    about: dict[str, Any]
    decided: tuple[Decided, ...]
    seconds: float
    asked: dict[str, str] = {}

    @property
    def counts(self) -> Counter[str]:
        return Counter(each.verdict for each in self.decided)

    def named_by_verdict(self) -> dict[str, list[str]]:
        """Keys of all that is not verified."""
        return {word: [one.key for one in self.decided if one.verdict == word] for word in WORDS if word != VERIFIED}

    def named(self, key: str) -> str:
        """One of them, in a sentence."""
        return f"{self.what} {key}"


def of_inputs(record: Mapping[str, Any]) -> Verdicts:
    """From a record of labelled inputs (`answer.input_record`)."""
    asked, data = record["property"], record["data"]
    about = {key: brief(value) for key, value in asked.items()}
    about |= {"data": data["sha256"], "first": data["first"], "last": data["last"]}
    decided = tuple(Decided(str(one["index"]), one["verdict"], one["reason"]) for one in record["images"])
    seconds = record["summary"]["seconds"]
    return Verdicts("input", record["model"]["sha256"], data["source"], about, decided, seconds)


def of_properties(record: Mapping[str, Any]) -> Verdicts:
    """From a record of properties (`answer.query_record`)."""
    results = record["results"]
    decided = tuple(Decided(one["property"], _OF_PROPERTIES[one["verdict"]], one["reason"]) for one in results)
    asked = {one["property"]: one["sha256"] for one in results}
    seconds = record["summary"]["seconds"]
    return Verdicts("property", record["model"]["sha256"], "properties", {"properties": True}, decided, seconds, asked)
