"""A first look for a witness, by onnxruntime alone: it may answer before there is any bound.

Random points and corners of the boxes, then points between the most promising ones and new corners.
"""

import time
from itertools import cycle

import numpy as np

from .decision import Witness
from .replay import Runtime
from .spec import Clause, Query
from .spec.judge import unsafe
from .spec.settle import settlers

_POINTS = 128  # of a box, per round
_BOXES = 64
_AT_ONCE = 16
_NEAR = 1e-3  # an excess in float64 below which a point is worth an exact look


def glance(runtime: Runtime, shape: tuple[int, ...], query: Query, *, seed: int, seconds: float) -> Witness | None:
    """A point inside an exact box whose outputs, as onnxruntime has them, fulfil a clause exactly; None where the
    seconds pass without one. The network takes inputs of `shape` [*v].
    """
    random = np.random.default_rng(seed)
    end = time.monotonic() + seconds
    boxes = _boxes(query.clauses[:_BOXES])
    while boxes and time.monotonic() < end:
        for box in boxes:
            points = box.propose(random)
            for first in range(0, len(points), _AT_ONCE):
                part = points[first : first + _AT_ONCE]
                # One by one: a file may hard-code a batch of 1 behind a symbolic one.
                outputs = np.concatenate([runtime.logits(point.reshape(1, *shape)) for point in part])
                found = box.judge(part, outputs)
                if found is not None:
                    return found
                if time.monotonic() > end:
                    return None
    return None


class _Box:
    """Clauses over one box, lower and upper [n] float32, with the best point so far of each."""

    def __init__(self, clauses: list[Clause], lower: np.ndarray, upper: np.ndarray) -> None:
        self.clauses, self.lower, self.upper = clauses, lower, upper
        self.best: list[tuple[float, np.ndarray]] = []
        self._settlers = cycle(dict.fromkeys(settlers(clauses, lower, upper)))  # a round for each of them

    def propose(self, random: np.random.Generator) -> np.ndarray:
        """[N, n]: corners and inner points, from the second round on half of each from a promising one."""
        share = random.random((_POINTS, len(self.lower)), np.float32)
        share[::2] = share[::2].round()
        points = np.clip(self.lower + (self.upper - self.lower) * share, self.lower, self.upper)
        if self.best:
            promising = np.stack([point for _, point in self.best])[random.integers(len(self.best), size=_POINTS)]
            kept = random.random((_POINTS, len(self.lower))) < random.random((_POINTS, 1))
            points = np.where(kept, promising, points)
        settle = next(self._settlers)
        return points if settle is None else settle(points)

    def judge(self, points: np.ndarray, outputs: np.ndarray) -> Witness | None:
        """A point that makes a clause unsafe; else the least violated ones are remembered."""
        for place, clause in enumerate(self.clauses):
            excess = np.full(len(points), -np.inf)
            for row in clause.rows:
                total = np.full(len(points), float(row.offset))
                for terms, values in ((row.terms, outputs), (row.inputs, points)):
                    for index, factor in terms:
                        total += float(factor) * values[:, index].astype(np.float64)
                excess = np.maximum(excess, total)
            order = np.argsort(excess)
            for number in order[:2]:
                if excess[number] < _NEAR and unsafe(clause, points[number], outputs[number]):
                    return Witness(points[number], outputs[number])
            if place == len(self.best):
                self.best.append((np.inf, points[order[0]]))
            if excess[order[0]] < self.best[place][0]:
                self.best[place] = (float(excess[order[0]]), points[order[0]])
        return None


def _boxes(clauses: tuple[Clause, ...]) -> list[_Box]:
    """Those of the clauses whose inputs all have float32 numbers of their own: others need exact arithmetic too."""
    together: dict[bytes, list[Clause]] = {}
    for clause in clauses:
        if not clause.between:
            together.setdefault(b"".join(end.tobytes() for end in clause.inner), []).append(clause)
    found = []
    for members in together.values():
        lower, upper = members[0].fed
        if (lower <= upper).all():
            found.append(_Box(members, lower, upper))
    return found
