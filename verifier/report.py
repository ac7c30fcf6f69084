"""The result of a verification run as one JSON object, written as it grows, so that a run can stop and go on.

Schema `glscert/verify/2`:
    schema, complete, model {path, sha256}, property {norm, eps, range, task}, data {source, sha256, first, last,
    rounded, label}, settings {timeout, seed}, versions, summary, images [{index, label, verdict, margin, seconds,
    reason}], checksum
norm: linf, l2 or l1. eps, and the two ends of range, are numbers (null: no end), or row-major lists with one for each
entry of the input. task: classification; binary, with threshold, and behind: Sigmoid, Tanh or null, which it stands
behind; regression, with tolerance, and labels that are numbers, lists of them or null. data: sha256 of the inputs and
labels that were used, first to last; rounded: how many of their entries onnxruntime is fed as the nearest float32;
label: the column of a table that the labels are.
summary: images, natural_accuracy, adversarial_accuracy (not misclassified nor falsified), certified_accuracy, the count
of each verdict, seconds (of the whole run so far). checksum: SHA-256 of all else (`record`).

Schema 1, of earlier versions, had no checksum; what it holds is decided again.
"""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import read_arrays
from .errors import InputError
from .files import replace_file
from .outcome import Outcome, Verdict
from .record import VERIFIED, VERIFIED_BEFORE, check_target, checksum, contradicts, read_record, write_record

_IDENTITY = ("property", "data")
_OTHERS_REASONS = ("attack", "the network answers", "the score is", "another class", "timeout")  # than a proof's


class Report:
    """Outcomes of one run over inputs with `labels`, as JSON has them, in memory and, where `path` is given, on disk.

    Counterexamples go beside the JSON file, to the same name with `.counterexamples.npz` (index [N], x [N, *v]).
    remarks: what a user should know of an earlier run's file.
    """

    def __init__(self, header: dict[str, Any], labels: Sequence[Any], path: Path | None) -> None:
        self.header, self.count, self.path = {"schema": VERIFIED, **header}, len(labels), path
        first = header["data"]["first"]
        self._labels = dict(enumerate(labels, start=first))
        self.images: dict[int, dict[str, Any]] = {}
        self.counterexamples: dict[int, np.ndarray] = {}
        self.seconds = 0.0
        self.remarks: list[str] = []
        if path is not None:
            check_target(path)
            if path.exists():
                self._resume(path)

    def add(self, outcome: Outcome) -> None:
        self.images[outcome.index] = outcome.as_json()
        if outcome.counterexample is not None:
            self.counterexamples[outcome.index] = outcome.counterexample

    def as_json(self) -> dict[str, Any]:
        images = [self.images[index] for index in sorted(self.images)]
        complete = len(images) == self.count
        found = {**self.header, "complete": complete, "summary": self.summary(), "images": images}
        return {**found, "checksum": checksum(found)}

    def summary(self) -> dict[str, Any]:
        counts = Counter(image["verdict"] for image in self.images.values())
        total = len(self.images)
        correct = total - counts["misclassified"]
        standing = correct - counts["falsified"]
        return {
            "images": total,
            "natural_accuracy": correct / total if total else None,
            "adversarial_accuracy": standing / total if total else None,
            "certified_accuracy": counts["verified"] / total if total else None,
            **{verdict.value: counts[verdict.value] for verdict in Verdict},
            "seconds": round(self.seconds, 3),
        }

    def save(self) -> None:
        """Write beside, then rename: the files are always whole."""
        if self.path is None:
            return
        if self.counterexamples or _beside(self.path).exists():
            indices = np.array(sorted(self.counterexamples), dtype=np.int64)
            x = np.array([self.counterexamples[index] for index in indices.tolist()])
            replace_file(_beside(self.path), lambda file: np.savez_compressed(file, index=indices, x=x))
        write_record(self.path, self.as_json())

    def _resume(self, path: Path) -> None:
        """Take over what an earlier run decided; its unknowns are tried again, and an older version's proofs."""
        earlier = read_record(path, "a result of this command")
        schema = earlier["schema"]
        if schema not in (VERIFIED, VERIFIED_BEFORE):
            raise InputError(f"{path} is not a result of this command; name another file for --out.")
        try:
            if schema == VERIFIED_BEFORE:
                earlier["property"] = {"task": "classification", **earlier["property"]}
            self._check_identity(earlier, path, ("property",) if schema == VERIFIED_BEFORE else _IDENTITY)
            if schema == VERIFIED_BEFORE:
                self.remarks.append(f"{path} was written by an older version; all of it is decided again.")
                return
            images = {_checked(image)["index"]: image for image in earlier["images"]}
            self.seconds, made_by = float(earlier["summary"]["seconds"]), earlier["versions"]["glscert"]
            many, complete = len(earlier["images"]), earlier["complete"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{path} is not a result of this command; name another file for --out.") from None
        self.images = images
        for index, image in images.items():
            why = self._contradiction(index, image)
            if why:
                raise contradicts(path, f"input {index} is {image['verdict']} {why}")
        if many != len(images) or earlier["summary"] != self.summary() or complete != (many == self.count):
            raise contradicts(path, "its summary does not count its images")
        if earlier.get("checksum") != checksum(earlier):
            raise contradicts(path, "its checksum is another")
        self._keep(path, proofs=made_by == self.header["versions"]["glscert"], made_by=made_by)

    def _check_identity(self, earlier: dict[str, Any], path: Path, keys: tuple[str, ...]) -> None:
        identity = {key: earlier[key] for key in keys} | {"model": earlier["model"]["sha256"]}
        expected = {key: self.header[key] for key in keys} | {"model": self.header["model"]["sha256"]}
        differs = [key for key in expected if identity[key] != expected[key]]
        if differs:
            what, here, there = _first_difference(differs[0], identity, expected)
            raise InputError(
                f"{path} holds results for another {what}: {_short(here)}, not {_short(there)}. "
                "Name another file for --out, or delete it."
            )

    def _contradiction(self, index: int, image: dict[str, Any]) -> str:
        """Why an entry of `images` cannot be true, if so."""
        verdict, margin, reason = Verdict(image["verdict"]), image["margin"], image["reason"]
        if index not in self._labels:
            return "but not among the inputs"
        if image["label"] != self._labels[index]:
            return f"with the label {image['label']}, which is {self._labels[index]} in the data"
        if not reason or image["seconds"] < 0:
            return "without a reason" if not reason else "after less than no time"
        if verdict is Verdict.VERIFIED and (margin is None or margin <= 0 or reason.startswith(_OTHERS_REASONS)):
            return f"with the margin {margin} and the reason {_short(reason)!r}"
        if verdict in (Verdict.FALSIFIED, Verdict.MISCLASSIFIED) and margin is not None and margin > 0:
            return f"with the margin {margin}"
        return ""

    def _keep(self, path: Path, *, proofs: bool, made_by: str) -> None:
        """Of the images those that need no second try: unknowns do, what was falsified where the counterexample is
        gone, and proofs of another version."""
        points = _read_counterexamples(_beside(path))
        broken = [index for index in points if self.images.get(index, {}).get("verdict") == Verdict.VERIFIED.value]
        if broken and proofs:
            raise contradicts(path, f"input {broken[0]} is verified, and has a counterexample in {_beside(path).name}")
        if not proofs and any(image["verdict"] == Verdict.VERIFIED.value for image in self.images.values()):
            self.remarks.append(f"{path} was written by version {made_by}; what it calls verified is decided again.")
        again = {Verdict.UNKNOWN.value} | (set() if proofs else {Verdict.VERIFIED.value})
        gone = {Verdict.FALSIFIED.value}
        self.images = {
            index: image
            for index, image in self.images.items()
            if image["verdict"] not in again and (index in points or image["verdict"] not in gone)
        }
        falsified = {index for index, image in self.images.items() if image["verdict"] in gone}
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


def _checked(image: dict[str, Any]) -> dict[str, Any]:
    """An entry of `images` with the keys and types that `Outcome.as_json` gives."""
    index, margin, seconds, reason = (image[key] for key in ("index", "margin", "seconds", "reason"))
    Verdict(image["verdict"])
    if not (
        "label" in image
        and isinstance(index, int)
        and isinstance(reason, str)
        and isinstance(seconds, int | float)
        and isinstance(margin, int | float | None)
        and isfinite(seconds + (margin or 0))
    ):
        raise ValueError(f"image {index} has an entry of another type")
    return image


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
