"""Answers to queries of one network as one JSON object, written as they come, so that a run can stop and go on.

Schema `glscert/query/2`:
    schema, complete, model {path, sha256}, settings {timeout, seed}, versions, summary {queries, sat, unsat, unknown,
    timeout, error, seconds}, results [{property, sha256, verdict, reason, seconds, visited, bound, nearest, witness}],
    checksum
results: by name of the property. witness: of sat {x, y}, flat and row-major, else null. visited: subdomains bounded.
bound: the lowest of what stayed open, or null. nearest: inputs between whose bounds no float32 number lies; the nearest
stands for them. reason: what decided, what stopped the search, or of an error its sentence. checksum: SHA-256 of all
else (`record`).

Schema 1, of earlier versions, had no checksum; what it holds is decided again.
"""

from collections import Counter
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from .decision import Answer, Decision, Witness
from .errors import InputError
from .record import ANSWERED, ANSWERED_BEFORE, check_target, checksum, contradicts, read_record, write_record
from .replay import Runtime
from .spec import Query
from .spec.judge import unsafe

VERDICTS = ("sat", "unsat", "unknown", "timeout", "error")


class Answers:
    """Results by name of the property, in memory and, where `path` is given, on disk. remarks: what a user should know
    of an earlier run's file."""

    def __init__(self, header: dict[str, Any], path: Path | None) -> None:
        self.header, self.path = {"schema": ANSWERED, **header}, path
        self.results: dict[str, dict[str, Any]] = {}
        self.remarks: list[str] = []
        if path is not None:
            check_target(path)
            if path.exists():
                self._resume(path)

    def decided(self, name: str, sha256: str) -> str | None:
        """sat or unsat, where an earlier run answered this very property so; what stayed open is tried again."""
        known = self.results.get(name)
        same = known is not None and known["sha256"] == sha256 and known["verdict"] in ("sat", "unsat")
        return known["verdict"] if known is not None and same else None

    def recheck(self, name: str, query: Query, shape: tuple[int, ...], runtime: Runtime) -> None:
        """Raises InputError where the witness kept for this property is none in onnxruntime; the network takes inputs
        of `shape` [*v]."""
        witness = self.results[name]["witness"]
        given = np.array(witness["x"], np.float64)
        with np.errstate(over="ignore"):
            x = given.astype(runtime.dtype)
        if x.shape != (query.inputs,) or not np.array_equal(x, given):
            raise contradicts(self.path or Path(), f"the witness of {name} is no input of the network")
        y = runtime.logits(x.reshape(1, *shape))[0]
        if not any(unsafe(clause, x, y) for clause in query.clauses):
            raise contradicts(
                self.path or Path(), f"the witness of {name} does not do in onnxruntime what it describes"
            )
        witness["y"] = y.tolist()

    def decision(self, name: str) -> Decision:
        """What was kept for this property."""
        known = self.results[name]
        ends = known["witness"] and Witness(*(np.array(known["witness"][end]) for end in ("x", "y")))
        answer = Answer(known["verdict"])
        return Decision(answer, known["reason"], known["seconds"], ends or None, known["visited"], known["bound"])

    def add(self, result: dict[str, Any]) -> None:
        self.results[result["property"]] = result
        self.save(complete=False)

    def as_json(self, *, complete: bool) -> dict[str, Any]:
        found = {**self.header, "complete": complete, "summary": self.summary()}
        found["results"] = [self.results[name] for name in sorted(self.results)]
        return {**found, "checksum": checksum(found)}

    def summary(self) -> dict[str, Any]:
        results = [self.results[name] for name in sorted(self.results)]
        counts = Counter(result["verdict"] for result in results)
        return {
            "queries": len(results),
            **{verdict: counts[verdict] for verdict in VERDICTS},
            "seconds": round(sum(result["seconds"] for result in results), 3),
        }

    def save(self, *, complete: bool) -> None:
        if self.path is not None:
            write_record(self.path, self.as_json(complete=complete))

    def _resume(self, path: Path) -> None:
        earlier = read_record(path, "a file of answers of this command")
        try:
            schema, sha256, summary = earlier["schema"], earlier["model"]["sha256"], earlier["summary"]
            made_by = earlier["versions"]["glscert"]
            results = {result["property"]: _checked(result, schema) for result in earlier["results"]}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{path} holds no answers of this command; name another file for --out.") from None
        if sha256 != self.header["model"]["sha256"]:
            raise InputError(f"{path} holds answers for another model. Name another file for --out, or delete it.")
        if schema == ANSWERED_BEFORE:
            self.remarks.append(f"{path} was written by an older version; all of it is decided again.")
            return
        self.results = results
        for name, result in results.items():
            if (result["witness"] is not None) != (result["verdict"] == "sat"):
                raise contradicts(
                    path, f"{name} is {result['verdict']} with{'' if result['witness'] else 'out'} a witness"
                )
            if not result["reason"] or (result["verdict"] == "unsat" and result["reason"].startswith("timeout")):
                raise contradicts(path, f"{name} is {result['verdict']} for the reason {result['reason'][:99]!r}")
        if summary != self.summary() or len(results) != len(earlier["results"]):
            raise contradicts(path, "its summary does not count its results")
        if earlier.get("checksum") != checksum(earlier):
            raise contradicts(path, "its checksum is another")
        proofs = [name for name, result in results.items() if result["verdict"] == "unsat"]
        if proofs and made_by != self.header["versions"]["glscert"]:
            self.remarks.append(f"{path} was written by version {made_by}; what it calls unsat is decided again.")
            self.results = {name: result for name, result in results.items() if name not in proofs}


def _checked(result: dict[str, Any], schema: str) -> dict[str, Any]:
    """An entry of `results`, with the keys and types that it must have."""
    witness, seconds = result["witness"], result["seconds"]
    usable = result["verdict"] in VERDICTS and isinstance(result["reason"], str) and isinstance(result["sha256"], str)
    usable = usable and isinstance(seconds, int | float) and isfinite(seconds) and seconds >= 0
    usable = usable and isinstance(result["visited"], int) and isinstance(result["bound"], int | float | None)
    for values in () if witness is None else (witness["x"], witness["y"]):
        usable = usable and all(isinstance(value, int | float) and isfinite(value) for value in values)
    if not usable or schema not in (ANSWERED, ANSWERED_BEFORE):
        raise ValueError("an entry of another kind")
    return result
