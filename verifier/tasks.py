"""The kinds of tasks, and which one is asked.

    classification   y_t - y_j                > 0 for all j != t     label t, a class
    binary           y - h > 0, or h - y      > 0                    label 1 or 0: one score, on a side of threshold h
    regression       tolerance - |y_k - c_k| >= 0 for all k          c: onnxruntime's scores for the input itself

Where order alone is asked for, rows are about what goes into a last Sigmoid or Tanh, which keeps it (`graph.ordered`).
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from .arrays import one_each, whole
from .engine.substitution import Spec
from .errors import InputError, UnsupportedError
from .graph.ordered import Ordered, ordered
from .network import Network
from .replay import margins
from .settings import Settings
from .spec import Row
from .task import Task


@dataclass(frozen=True)
class Classification(Task):
    name = "classification"

    @property
    def rows(self) -> int:
        return self.network.graph.output_shape[0] - 1

    def labels(self, y: np.ndarray | None, count: int) -> list[Any]:
        return _classes(y, count, self.rows + 1, "Give the labels it was trained with.")

    def spec(self, goals: np.ndarray) -> Spec:
        """y_t - y_j for all j != t, in increasing order."""
        eye, others = np.eye(self.rows + 1), np.arange(self.rows)[None]
        rows = eye[goals][:, None] - eye[others + (others >= goals[:, None])]
        return Spec(rows, np.zeros(rows.shape[:2]))

    def margins(self, scores: np.ndarray, goals: np.ndarray) -> np.ndarray:
        return margins(scores, goals)

    def why_wrong(self, scores: np.ndarray, label: Any) -> str:
        if np.isnan(scores).any():
            return "onnxruntime returns NaN among the scores"
        if np.delete(scores, label).max() > scores[label]:
            return f"the network answers {int(scores.argmax())}"
        return "another class scores as high as the label"


@dataclass(frozen=True)
class Binary(Task):
    """border: the threshold of the graph's output, which is the file's own unless that ends in a `curve`."""

    threshold: float
    border: float
    curve: str | None
    name = "binary"

    @property
    def rows(self) -> int:
        return 1

    def labels(self, y: np.ndarray | None, count: int) -> list[Any]:
        return _classes(y, count, 2, "One output is a classifier of labels 0 and 1; for a regression give --tolerance.")

    def spec(self, goals: np.ndarray) -> Spec:
        side = (2.0 * goals - 1)[:, None]
        return Spec(side[..., None], -side * self.border)

    def margins(self, scores: np.ndarray, goals: np.ndarray) -> np.ndarray:
        return (2 * goals - 1) * (scores[:, 0].astype(np.float64) - self.threshold)

    def why_wrong(self, scores: np.ndarray, label: Any) -> str:
        if np.isnan(scores).any():
            return "onnxruntime returns NaN"
        score = float(scores[0])
        if score == self.threshold:
            return f"the score is the threshold {self.threshold:g}"
        return f"the network answers {int(score > self.threshold)}, by a score of {score:g}"

    def described(self) -> dict[str, Any]:
        return {"task": self.name, "threshold": self.threshold, "behind": self.curve}


@dataclass(frozen=True)
class Regression(Task):
    tolerance: float
    name = "regression"

    @property
    def rows(self) -> int:
        return 2 * self.network.graph.output_shape[0]

    def labels(self, y: np.ndarray | None, count: int) -> list[Any]:
        outputs = self.network.graph.output_shape[0]
        if y is None or y.shape == (count, 0):
            return [None] * count
        if not (np.issubdtype(y.dtype, np.integer) or np.issubdtype(y.dtype, np.floating)) or not np.isfinite(y).all():
            raise InputError("labels of a regression are numbers, one for each output, or none; some are not finite.")
        if len(y) != count or y.size != count * outputs:
            raise InputError(
                f"{count} inputs but labels of shape {list(y.shape)}; give a number for each output, "
                f"{[count, outputs]}, or none at all."
            )
        found = y.astype(np.float64).reshape(count, outputs)
        return list((found if outputs > 1 else found[:, 0]).tolist())

    def goals(self, scores: np.ndarray, labels: list[Any]) -> np.ndarray:
        return scores.astype(np.float64)

    def spec(self, goals: np.ndarray) -> Spec:
        """y - (c - tolerance) and (c + tolerance) - y, ends rounded inwards."""
        below, above = np.nextafter(goals - self.tolerance, np.inf), np.nextafter(goals + self.tolerance, -np.inf)
        eye = np.eye(goals.shape[1])
        rows = np.broadcast_to(np.concatenate([eye, -eye]), (len(goals), 2 * len(eye), len(eye)))
        return Spec(rows, np.concatenate([-below, above], 1))

    def exact_rows(self, goal: Any) -> tuple[tuple[Row, ...], ...]:
        above = [(k, Fraction(float(c)) + Fraction(self.tolerance)) for k, c in enumerate(goal)]
        below = [(k, Fraction(float(c)) - Fraction(self.tolerance)) for k, c in enumerate(goal)]
        rows = [Row(((k, Fraction(1)),), -end, strict=True) for k, end in below]
        return tuple((row,) for row in [*rows, *(Row(((k, Fraction(-1)),), end, strict=True) for k, end in above)])

    def margins(self, scores: np.ndarray, goals: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # of infinities, which are not near anything
            return self.tolerance - np.abs(scores.astype(np.float64) - goals).max(1)

    def predicted(self, scores: np.ndarray, labels: list[Any]) -> np.ndarray:
        known = self.goals(scores, labels) if None in labels else np.array(labels).reshape(scores.shape)
        return self.margins(scores, known)

    def broken(self, margin: float) -> bool:
        return margin < 0

    def why_wrong(self, scores: np.ndarray, label: Any) -> str:
        if not np.isfinite(scores).all():
            return "onnxruntime returns NaN or infinity among the outputs"
        if len(scores) == 1:
            return f"the network answers {float(scores[0]):g}"
        far = int(np.abs(scores - np.array(label)).argmax())
        return f"the network answers {float(scores[far]):g} for output {far}, whose label is {label[far]:g}"

    def described(self) -> dict[str, Any]:
        return {"task": self.name, "tolerance": self.tolerance}


def asked(network: Network, settings: Settings) -> Task:
    """What the settings ask of a network's labelled inputs. Raises `InputError` or `UnsupportedError` where it has not
    the outputs for that."""
    graph = network.graph
    outputs, threshold = graph.output_shape[0], settings.threshold
    if settings.tolerance is not None:
        if threshold is not None:
            raise InputError("a tolerance asks for a regression, a threshold for a classifier; leave one out.")
        if graph.ending is not None:
            raise UnsupportedError(
                f"the network ends in {graph.ending}, before which bounds end; for a tolerance export it without, or "
                "leave the tolerance out to verify a classifier."
            )
        return Regression(network, settings.tolerance)
    if graph.reading is not None and len(graph.reading.outputs) > 1:
        raise UnsupportedError(
            f"it has the outputs {', '.join(graph.reading.outputs)}; robustness is checked on one vector of class "
            "scores. Export it with the scores alone, ask with --vnnlib, or for a regression give a tolerance."
        )
    before = ordered(graph, network.engine.params)
    if outputs > 1:
        if threshold is not None:
            raise InputError(f"a threshold is of a single output, and the network has {outputs}; leave it out.")
        return Classification(_cut(network, before))
    if graph.ending is not None:
        raise UnsupportedError(
            f"the network ends in {graph.ending} over a single output, which is always the same; export it without."
        )
    if before is not None and threshold is not None and not before.low < threshold < before.high:
        raise InputError(
            f"threshold = {threshold:g}, but the output lies between {before.low:g} and {before.high:g} and never is "
            "either: one class would have no inputs. Give a number between them."
        )
    curve = None if before is None else before.curve
    half = 0.0 if before is None or curve is None else (before.low + before.high) / 2
    threshold = half if threshold is None else threshold
    if curve is not None and threshold == half:
        return Binary(_cut(network, before), threshold, 0.0, curve)
    return Binary(network, threshold, threshold, curve)


def _cut(network: Network, before: Ordered | None) -> Network:
    if before is None:
        return network
    return replace(network, graph=before.graph, engine=network.engine.extended(before.graph))


def _classes(y: np.ndarray | None, count: int, classes: int, advice: str) -> list[Any]:
    if y is None:
        raise InputError("there are no labels; give one per input.")
    y = whole(one_each(y, count, "labels"), "labels", "For a regression give a tolerance.")
    if len(y) and (y.min() < 0 or y.max() >= classes):
        raise InputError(
            f"labels run from {y.min()} to {y.max()}; the network has classes 0 to {classes - 1}. {advice}"
        )
    return y.tolist()
