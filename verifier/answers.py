"""Answers to queries of one network as one JSON object, written as they come, so that a run can stop and go on.

Schema `glscert/query/1`:
    schema, complete, model {path, sha256}, settings {timeout, seed}, versions, summary {queries, sat, unsat, unknown,
    timeout, error, seconds}, results [{property, sha256, verdict, reason, seconds, visited, bound, nearest, witness}]
results: by name of the property. witness: of sat {x, y}, flat and row-major, else null. visited: subdomains bounded.
bound: the lowest of what stayed open, or null. nearest: inputs between whose bounds no float32 number lies; the nearest
stands for them. reason: what decided, what stopped the search, or of an error its sentence.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import replace_file

SCHEMA = "glscert/query/1"
VERDICTS = ("sat", "unsat", "unknown", "timeout", "error")


class Answers:
    """Results by name of the property, in memory and, where `path` is given, on disk."""

    def __init__(self, header: dict[str, Any], path: Path | None) -> None:
        self.header, self.path = {"schema": SCHEMA, **header}, path
        self.results: dict[str, dict[str, Any]] = {}
        if path is not None:
            if not path.parent.is_dir():
                raise InputError(f"{path.parent} is not a folder; --out names a file in a folder that exists.")
            if path.exists():
                self._resume(path)

    def decided(self, name: str, sha256: str) -> bool:
        """Whether an earlier run proved or refuted this very property; what stayed open is tried again."""
        known = self.results.get(name)
        return known is not None and known["sha256"] == sha256 and known["verdict"] in ("sat", "unsat")

    def add(self, result: dict[str, Any]) -> None:
        self.results[result["property"]] = result
        self.save(complete=False)

    def as_json(self, *, complete: bool) -> dict[str, Any]:
        results = [self.results[name] for name in sorted(self.results)]
        counts = Counter(result["verdict"] for result in results)
        summary = {
            "queries": len(results),
            **{verdict: counts[verdict] for verdict in VERDICTS},
            "seconds": round(sum(result["seconds"] for result in results), 3),
        }
        return {**self.header, "complete": complete, "summary": summary, "results": results}

    def save(self, *, complete: bool) -> None:
        if self.path is not None:
            text = json.dumps(self.as_json(complete=complete), allow_nan=False, indent=1)
            replace_file(self.path, lambda file: file.write(text.encode()))

    def _resume(self, path: Path) -> None:
        try:
            earlier = json.loads(path.read_bytes())
            schema, sha256 = earlier["schema"], earlier["model"]["sha256"]
            results = {result["property"]: result for result in earlier["results"]}
            usable = all(
                result["verdict"] in VERDICTS and isinstance(result["seconds"], int | float) and result["sha256"]
                for result in results.values()
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            usable, schema = False, None
        if not usable or schema != SCHEMA:
            raise InputError(f"{path} holds no answers of this command; name another file for --out.")
        if sha256 != self.header["model"]["sha256"]:
            raise InputError(f"{path} holds answers for another model. Name another file for --out, or delete it.")
        self.results = results
