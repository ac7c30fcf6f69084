"""What came of a policy: a value that every report is made of.

Schema `glscert/gate/1`: schema, policy, met, exit_code, seconds, versions, requirements [R], models [{name, file, line,
state, sha256, what, source, about, summary, named, requirements [R], lost [C], won [C], new, remark, error,
skipped, seconds}].
R: name, wanted, found, state (met, missed, undecided, error). C: key, before, after. remark, error, skipped: a sentence
or null. summary: the count of each verdict, named: the inputs or properties of each but verified; null, with all else
that is not known, where nothing was decided.
"""

from typing import Any, NamedTuple

from ..answer.record import versions
from ..errors import GlscertError
from .baseline import Comparison
from .judge import BROKEN, MISSED, OPEN, Requirement
from .policy import Entry, Policy
from .verdicts import WORDS, Verdicts

SCHEMA = "glscert/gate/1"


class ModelReport(NamedTuple):
    """Of one entry: verdicts and what they are worth, or the error, or why it was skipped."""

    entry: Entry
    verdicts: Verdicts | None = None
    requirements: tuple[Requirement, ...] = ()
    compared: Comparison | None = None
    error: GlscertError | None = None
    skipped: str = ""

    @property
    def state(self) -> str:
        """The worst of its requirements; error; skipped."""
        if self.error is not None:
            return BROKEN
        if self.skipped:
            return "skipped"
        states = [each.state for each in self.requirements]
        return next((state for state in (MISSED, BROKEN, OPEN) if state in states), "met")

    def as_json(self) -> dict[str, Any]:
        verdicts, compared = self.verdicts, self.compared or Comparison()
        known = verdicts is not None
        counts = verdicts.counts if verdicts is not None else {}
        return {
            "name": self.entry.name,
            "file": str(self.entry.file),
            "line": self.entry.line or None,
            "state": self.state,
            "sha256": verdicts.sha256 if verdicts is not None else None,
            "what": verdicts.what if verdicts is not None else None,
            "source": verdicts.source if verdicts is not None else None,
            "about": verdicts.about if verdicts is not None else None,
            "summary": {word: counts[word] for word in WORDS} if known else None,
            "named": verdicts.named_by_verdict() if verdicts is not None else None,
            "requirements": [each._asdict() for each in self.requirements],
            "lost": [change._asdict() for change in compared.lost],
            "won": [change._asdict() for change in compared.won],
            "new": list(compared.new),
            "remark": compared.remark or None,
            "error": str(self.error) if self.error is not None else None,
            "skipped": self.skipped or None,
            "seconds": verdicts.seconds if verdicts is not None else 0.0,
        }


class Report(NamedTuple):
    policy: Policy
    requirements: tuple[Requirement, ...]
    models: tuple[ModelReport, ...]

    @property
    def exit_code(self) -> int:
        """1: something missed; else the first error's; 3: something undecided; 0."""
        requirements = [*self.requirements, *(each for model in self.models for each in model.requirements)]
        states = [each.state for each in requirements]
        errors = [model.error.exit_code for model in self.models if model.error is not None]
        if MISSED in states:
            return 1
        if errors or BROKEN in states:
            return errors[0] if errors else 2
        return 3 if OPEN in states else 0

    @property
    def verdict(self) -> str:
        """In a few words, with what was not looked at."""
        said = {0: "policy met", 1: "policy not met", 3: "policy undecided"}.get(self.exit_code, "policy not decided")
        skipped = sum(bool(model.skipped) for model in self.models)
        return f"{said}, {skipped} of {len(self.models)} models skipped" if skipped else said

    @property
    def seconds(self) -> float:
        return round(sum(model.verdicts.seconds for model in self.models if model.verdicts is not None), 3)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "policy": str(self.policy.path),
            "met": self.exit_code == 0,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "versions": versions(),
            "requirements": [each._asdict() for each in self.requirements],
            "models": [model.as_json() for model in self.models],
        }
