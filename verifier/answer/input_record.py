"""The result of a verification run as one JSON object, written as it grows, so that a run can stop and go on.

Schema `glscert/verify/2`:
    schema, complete, model {path, sha256}, property {norm, eps, range, task}, data {source, sha256, first, last,
    rounded, label}, settings {timeout, seed, arithmetic}, versions, summary, images [{index, label, verdict, margin,
    seconds, reason}], checksum
norm: linf, l2 or l1. eps, and the two ends of range, are numbers (null: no end), or row-major lists with one for each
entry of the input. task: classification; binary, with threshold, and behind: Sigmoid, Tanh or null, which it stands
behind; regression, with tolerance, and labels that are numbers, lists of them or null. data: sha256 of the inputs and
labels that were used, first to last; rounded: how many of their entries onnxruntime is fed as the nearest float32;
label: the column of a table that the labels are.
summary: images, natural_accuracy, adversarial_accuracy (not misclassified nor falsified), certified_accuracy, the count
of each verdict, seconds (of the whole run so far). checksum: SHA-256 of all else (`record`).

Schema 1, of earlier versions, had no checksum; what it holds is decided again.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import read_arrays
from ..errors import InputError
from ..files import replace_file
from .answer import Answer, Verdict
from .record import VERIFIED, VERIFIED_BEFORE, Record, contradicts, write_record

VERDICTS = ("verified", "falsified", "misclassified", "unknown")
_IDENTITY = ("property", "data")
_OTHERS_REASONS = ("attack", "the network answers", "the score is", "another class", "timeout")  # than a proof's


class InputRecord(Record):
    """Entries of one run over inputs with `labels`, as JSON has them. Counterexamples go beside the JSON file, to the
    same name with `.counterexamples.npz` (index [N], x [N, *v])."""

    schemas, what = (VERIFIED, VERIFIED_BEFORE), "a result of this command"
    listed, proof = "images", "verified"

    def __init__(self, header: dict[str, Any], labels: Sequence[Any], path: Path | None) -> None:
        self.count, first = len(labels), header["data"]["first"]
        self._labels = dict(enumerate(labels, start=first))
        self.counterexamples: dict[int, np.ndarray] = {}
        super().__init__(header, path)

    def key(self, entry: Mapping[str, Any]) -> int:
        return int(entry["index"])

    def shown(self, key: Any) -> str:
        return f"input {key}"

    def complete(self) -> bool:
        return len(self.entries) == self.count

    def tell(self, index: int, answer: Answer) -> None:
        """Adds an answer; one that is out of time is unknown."""
        verdict = Verdict.UNKNOWN if answer.verdict is Verdict.TIMEOUT else answer.verdict
        told = {"margin": answer.margin, "seconds": round(answer.seconds, 6), "reason": answer.reason}
        self.add({"index": index, "label": self._labels[index], "verdict": verdict.value, **told})
        if answer.witness is not None:
            self.counterexamples[index] = answer.witness.x

    def summary(self) -> dict[str, Any]:
        counts, total = self.counts(), len(self.entries)
        correct = total - counts["misclassified"]
        standing = correct - counts["falsified"]
        return {
            "images": total,
            "natural_accuracy": correct / total if total else None,
            "adversarial_accuracy": standing / total if total else None,
            "certified_accuracy": counts["verified"] / total if total else None,
            **{verdict: counts[verdict] for verdict in VERDICTS},
            "seconds": round(self.seconds, 3),
        }

    def save(self) -> None:
        if self.path is None:
            return
        if self.counterexamples or _beside(self.path).exists():
            indices = np.array(sorted(self.counterexamples), dtype=np.int64)
            x = np.array([self.counterexamples[index] for index in indices.tolist()])
            replace_file(_beside(self.path), lambda file: np.savez_compressed(file, index=indices, x=x))
        write_record(self.path, self.as_json())

    def identity(self, earlier: dict[str, Any], path: Path) -> None:
        keys: tuple[str, ...] = _IDENTITY
        if earlier["schema"] == VERIFIED_BEFORE:
            earlier["property"], keys = {"task": "classification", **earlier["property"]}, ("property",)
        identity = {key: earlier[key] for key in keys} | {"model": earlier["model"]["sha256"]}
        expected = {key: self.header[key] for key in keys} | {"model": self.header["model"]["sha256"]}
        differs = [key for key in expected if identity[key] != expected[key]]
        if differs:
            what, here, there = _first_difference(differs[0], identity, expected)
            raise InputError(
                f"{path} holds results for another {what}: {_short(here)}, not {_short(there)}. "
                "Name another file for --out, or delete it."
            )

    def checked(self, entry: dict[str, Any]) -> dict[str, Any]:
        index, margin, seconds, reason = (entry[key] for key in ("index", "margin", "seconds", "reason"))
        usable = "label" in entry and isinstance(index, int) and isinstance(reason, str)
        usable = usable and isinstance(seconds, int | float) and isinstance(margin, int | float | None)
        if entry["verdict"] not in VERDICTS or not usable or not isfinite(seconds + (margin or 0)):
            raise ValueError(f"image {index} has an entry of another type")
        return entry

    def contradiction(self, entry: Mapping[str, Any]) -> str:
        index, verdict, margin, reason = (entry[key] for key in ("index", "verdict", "margin", "reason"))
        if index not in self._labels:
            return "but not among the inputs"
        if entry["label"] != self._labels[index]:
            return f"with the label {entry['label']}, which is {self._labels[index]} in the data"
        if not reason or entry["seconds"] < 0:
            return "without a reason" if not reason else "after less than no time"
        if verdict == self.proof and (margin is None or margin < 0 or reason.startswith(_OTHERS_REASONS)):
            return f"with the margin {margin} and the reason {_short(reason)!r}"
        if verdict in ("falsified", "misclassified") and margin is not None and margin > 0:
            return f"with the margin {margin}"
        return ""

    def counted(self, earlier: dict[str, Any]) -> bool:
        return super().counted(earlier) and (not earlier["complete"] or self.complete())

    def keep(self, path: Path) -> None:
        """Of the images those that need no second try: unknowns do, and what was falsified where the counterexample is
        gone."""
        points = _read_counterexamples(_beside(path))
        broken = [index for index in points if self.entries.get(index, {}).get("verdict") == self.proof]
        if broken:
            raise contradicts(path, f"input {broken[0]} is verified, and has a counterexample in {_beside(path).name}")
        self.entries = {
            index: entry
            for index, entry in self.entries.items()
            if entry["verdict"] != "unknown" and (index in points or entry["verdict"] != "falsified")
        }
        falsified = {index for index, entry in self.entries.items() if entry["verdict"] == "falsified"}
        self.counterexamples = {index: x for index, x in points.items() if index in falsified}


def _first_difference(key: str, one: Any, other: Any, within: str = "") -> tuple[str, Any, Any]:
    """The name of the field that differs, as far inside as there are objects, and what each has there."""
    name, here, there = f"{within}{key}", one.get(key), other.get(key)
    if not (isinstance(here, dict) and isinstance(there, dict)):
        return name, here, there
    differs = next(inner for inner in (*there, *here) if here.get(inner) != there.get(inner))
    return _first_difference(differs, here, there, f"{name} ")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _read_counterexamples(path: Path) -> dict[int, np.ndarray]:
    if not path.exists():
        return {}
    try:
        arrays = read_arrays(path, ("index", "x"))
        return dict(zip(arrays["index"].tolist(), arrays["x"], strict=True))
    except (InputError, ValueError, TypeError) as error:
        raise InputError(f"{path} holds no counterexamples ({error}); delete it, or name another --out.") from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.counterexamples.npz")
