"""Answers to queries of one network as one JSON object, written as they come, so that a run can stop and go on.

Schema `glscert/query/2`:
    schema, complete, model {path, sha256}, settings {timeout, seed, arithmetic}, versions, summary {queries, sat,
    unsat, unknown, timeout, error, seconds}, results [{property, sha256, verdict, reason, seconds, visited, bound,
    nearest, witness}], checksum
results: by name of the property. witness: of sat {x, y}, flat and row-major, else null. visited: subdomains bounded.
bound: the lowest of what stayed open, or null. nearest: inputs between whose bounds no float32 number lies; the nearest
stands for them. reason: what decided, what stopped the search, or of an error its sentence. checksum: SHA-256 of all
else (`record`).

Schema 1, of earlier versions, had no checksum; what it holds is decided again.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GlscertError
from ..replay import Runtime
from ..spec import Query
from ..spec.judge import unsafe
from .answer import Answer, Verdict, Witness
from .record import ANSWERED, ANSWERED_BEFORE, Record, contradicts

_ANSWERS = (Verdict.FALSIFIED, Verdict.VERIFIED, Verdict.UNKNOWN, Verdict.TIMEOUT)
VERDICTS = (*(verdict.word for verdict in _ANSWERS), "error")


class QueryRecord(Record):
    """Results by name of the property; digests: SHA-256 of those that are asked."""

    schemas, what = (ANSWERED, ANSWERED_BEFORE), "a file of answers of this command"
    listed, proof = "results", "unsat"

    def __init__(self, header: Mapping[str, Any], digests: Mapping[str, str], path: Path | None) -> None:
        self._digests = digests
        super().__init__(header, path)

    def key(self, entry: Mapping[str, Any]) -> str:
        return str(entry["property"])

    def complete(self) -> bool:
        return self._digests.keys() <= self.entries.keys()

    def keep(self, path: Path) -> None:
        """Not what stayed open, nor answers to a property of another content."""
        for name, sha256 in self._digests.items():
            known = self.entries.get(name)
            if known is not None and (known["sha256"] != sha256 or known["verdict"] not in ("sat", "unsat")):
                del self.entries[name]

    def recheck(self, name: str, query: Query, shape: tuple[int, ...], runtime: Runtime) -> None:
        """Raises InputError where the witness kept for this property is none in onnxruntime; the network takes inputs
        of `shape` [*v]."""
        witness, path = self.entries[name]["witness"], self.path or Path()
        given = np.array(witness["x"], np.float64)
        with np.errstate(over="ignore"):
            x = given.astype(runtime.dtype)
        if x.shape != (query.inputs,) or not np.array_equal(x, given):
            raise contradicts(path, f"the witness of {name} is no input of the network")
        y = runtime.logits(x.reshape(1, *shape))[0]
        if not any(unsafe(clause, x, y) for clause in query.clauses):
            raise contradicts(path, f"the witness of {name} does not do in onnxruntime what it describes")
        witness["y"] = y.tolist()

    def answer(self, name: str) -> Answer:
        """What was kept for this property."""
        known = self.entries[name]
        kept = known["witness"]
        witness = None if kept is None else Witness(np.array(kept["x"]), np.array(kept["y"]))
        verdict = next(each for each in _ANSWERS if each.word == known["verdict"])
        return Answer(verdict, known["reason"], known["seconds"], known["bound"], witness, known["visited"])

    def tell(self, name: str, found: Answer | GlscertError) -> None:
        """Adds an answer, or what is wrong with the property."""
        told = _refused(found) if isinstance(found, GlscertError) else _entry(found)
        self.add({"property": name, "sha256": self._digests[name], **told})
        self.save()

    def summary(self) -> dict[str, Any]:
        counts, spent = self.counts(), [self.entries[name]["seconds"] for name in sorted(self.entries)]
        return {
            "queries": len(self.entries),
            **{verdict: counts[verdict] for verdict in VERDICTS},
            "seconds": round(sum(spent), 3),
        }

    def contradiction(self, entry: Mapping[str, Any]) -> str:
        if (entry["witness"] is not None) != (entry["verdict"] == "sat"):
            return f"with{'' if entry['witness'] else 'out'} a witness"
        if not entry["reason"] or (entry["verdict"] == "unsat" and entry["reason"].startswith("timeout")):
            return f"for the reason {entry['reason'][:99]!r}"
        return ""

    def checked(self, entry: dict[str, Any]) -> dict[str, Any]:
        witness, seconds = entry["witness"], entry["seconds"]
        usable = entry["verdict"] in VERDICTS and isinstance(entry["reason"], str) and isinstance(entry["sha256"], str)
        usable = usable and isinstance(seconds, int | float) and isfinite(seconds) and seconds >= 0
        usable = usable and isinstance(entry["visited"], int) and isinstance(entry["bound"], int | float | None)
        for values in () if witness is None else (witness["x"], witness["y"]):
            usable = usable and all(isinstance(value, int | float) and isfinite(value) for value in values)
        if not usable or not isinstance(entry["property"], str):
            raise ValueError("an entry of another kind")
        return entry


def _entry(answer: Answer) -> dict[str, Any]:
    witness, still_open = answer.witness, answer.verdict in (Verdict.UNKNOWN, Verdict.TIMEOUT)
    return {
        "verdict": answer.verdict.word,
        "reason": answer.reason,
        "seconds": round(answer.seconds, 3),
        "visited": answer.visited,
        "bound": answer.margin if still_open else None,
        "nearest": list(answer.nearest),
        "witness": None if witness is None else {"x": witness.x.tolist(), "y": witness.y.tolist()},
    }


def _refused(error: GlscertError) -> dict[str, Any]:
    unknown: dict[str, Any] = {"seconds": 0.0, "visited": 0, "bound": None, "nearest": [], "witness": None}
    return {"verdict": "error", "reason": str(error), **unknown}
