"""The result of a verification run as one JSON object, written as it grows, so that a run can stop and go on.

Schema `glscert/verify/1`:
    schema, complete, model {path, sha256}, property {norm, eps, range, task}, data {source, sha256, first,
    last}, settings {timeout, seed}, versions, summary, images [{index, label, verdict, margin, seconds, reason}]
norm: linf, l2 or l1. eps, and the two ends of range, are numbers (null: no end), or row-major lists with one for each
entry of the input. task: classification; binary, with threshold, and behind: Sigmoid, Tanh or null, which it stands
behind; regression, with tolerance, and labels that are numbers, lists of them or null.
summary: images, natural_accuracy, adversarial_accuracy (not misclassified nor falsified), certified_accuracy, the count
of each verdict, seconds (of the whole run so far).
"""

import json
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import replace_file
from .outcome import Outcome, Verdict

SCHEMA = "glscert/verify/1"
_IDENTITY = ("schema", "property", "data")


class Report:
    """Outcomes of one run over `count` inputs, in memory and, where `path` is given, on disk.

    Counterexamples go beside the JSON file, to the same name with `.counterexamples.npz` (index [N], x [N, *v]).
    """

    def __init__(self, header: dict[str, Any], count: int, path: Path | None) -> None:
        self.header, self.count, self.path = {"schema": SCHEMA, **header}, count, path
        self.images: dict[int, dict[str, Any]] = {}
        self.counterexamples: dict[int, np.ndarray] = {}
        self.seconds = 0.0
        if path is not None:
            if not path.parent.is_dir():
                raise InputError(f"{path.parent} is not a folder; --out names a file in a folder that exists.")
            if path.exists():
                self._resume(path)

    def add(self, outcome: Outcome) -> None:
        self.images[outcome.index] = outcome.as_json()
        if outcome.counterexample is not None:
            self.counterexamples[outcome.index] = outcome.counterexample

    def as_json(self) -> dict[str, Any]:
        images = [self.images[index] for index in sorted(self.images)]
        complete = len(images) == self.count
        return {**self.header, "complete": complete, "summary": self.summary(), "images": images}

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
        """Write beside, then rename: the file is always whole."""
        if self.path is None:
            return
        text = json.dumps(self.as_json(), allow_nan=False, indent=1)
        if self.counterexamples or _beside(self.path).exists():
            indices = np.array(sorted(self.counterexamples), dtype=np.int64)
            x = np.array([self.counterexamples[index] for index in indices.tolist()], dtype=np.float32)
            replace_file(_beside(self.path), lambda file: np.savez_compressed(file, index=indices, x=x))
        replace_file(self.path, lambda file: file.write(text.encode()))

    def _resume(self, path: Path) -> None:
        """Take over what an earlier run decided; its unknowns are tried again."""
        try:
            earlier = json.loads(path.read_bytes(), parse_constant=_refuse)
            identity = {key: earlier[key] for key in _IDENTITY} | {"sha256": earlier["model"]["sha256"]}
            numbers = self.header["property"].get("task") == "regression"
            images = {int(image["index"]): _checked(image, numbers) for image in earlier["images"]}
            seconds = float(earlier["summary"]["seconds"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} is not a result of this command; name another file for --out.") from None
        expected = {key: self.header[key] for key in _IDENTITY} | {"sha256": self.header["model"]["sha256"]}
        differs = [key for key in expected if identity[key] != expected[key]]
        if differs:
            what = differs[0].replace("sha256", "model")
            raise InputError(
                f"{path} holds results for another {what}: {_short(identity[differs[0]])}, not "
                f"{_short(expected[differs[0]])}. Name "
                "another file for --out, or delete it."
            )
        self.seconds, self.counterexamples = seconds, _read_counterexamples(_beside(path))
        self.images = {i: image for i, image in images.items() if self._keeps(i, image["verdict"])}
        self.counterexamples = {i: x for i, x in self.counterexamples.items() if i in self.images}

    def _keeps(self, index: int, verdict: str) -> bool:
        """Unknowns are tried again, and so is what was falsified where the counterexample is gone."""
        if verdict == Verdict.FALSIFIED.value:
            return index in self.counterexamples
        return verdict != Verdict.UNKNOWN.value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not strict JSON")


def _checked(image: dict[str, Any], numbers: bool) -> dict[str, Any]:
    """An entry of `images` with the keys and types that `Outcome.as_json` gives; numbers: labels are those of a
    regression."""
    label, margin, seconds, reason = (image[key] for key in ("label", "margin", "seconds", "reason"))
    Verdict(image["verdict"])
    if not (
        (isinstance(label, int) or (numbers and _is_answer(label)))
        and isinstance(reason, str)
        and isinstance(seconds, int | float)
        and isinstance(margin, int | float | None)
    ):
        raise ValueError(f"image {image['index']} has an entry of another type")
    return image


def _is_answer(label: Any) -> bool:
    """A number, several, or none."""
    several = label if isinstance(label, list) else [label]
    return label is None or all(isinstance(each, int | float) for each in several)


def _read_counterexamples(path: Path) -> dict[int, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(zip(arrays["index"].tolist(), arrays["x"], strict=True))
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, AttributeError, TypeError) as error:
        raise InputError(f"{path} holds no counterexamples ({error}); delete it, or name another --out.") from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.counterexamples.npz")
