"""Labelled inputs as questions: the ball around each, and for each row of the task a clause: it is not positive."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..answer import Answer, Verdict, Witness
from ..engine.ball import CutBall
from ..functions import Box
from ..search.boxes import attack_ball, attack_box, drawn_in, fed, proof_ball, proof_box
from ..search.clauses import Group
from ..search.confirm import surely_broken
from ..settings import Settings
from ..task import Task
from .question import Question


@dataclass(frozen=True, eq=False)
class Labelled:
    """Whose group this is: the input x [n], what it is to keep, and the ball around it. `given`: whether onnxruntime is
    fed x itself."""

    task: Task
    settings: Settings
    x: np.ndarray
    goal: Any
    attack: Box
    given: bool

    def witness(self, point: np.ndarray) -> Witness | None:
        """Where onnxruntime, given the point alone, does not keep the input's goal. The point is first moved into the
        ball and the range, exactly."""
        asked, shape = self.settings, self.task.network.graph.input_shape
        eps = _flat(asked.eps)
        inside = drawn_in(point, self.x, eps, asked.norm, self.attack)
        if inside is None:
            return None
        scores = self.task.network.scores(inside.reshape(1, *shape))
        margin = float(self.task.margins(scores, self.goal[None])[0])
        if not self.task.broken(margin) or not self._holds_in_the_ball(inside):
            return None
        return Witness(inside.reshape(shape), scores[0], margin)

    def _holds_in_the_ball(self, point: np.ndarray) -> bool:
        """Where a runtime is fed numbers from outside of the ball, which holds none of its own, the nearest point of it
        has to break the goal as well, whatever rounded."""
        asked = self.settings
        eps, low, high = map(_flat, (asked.eps, asked.low, asked.high))
        inside = np.clip(point.astype(np.float64), np.maximum(self.x - eps, low), np.minimum(self.x + eps, high))
        if np.array_equal(inside, point):
            return True
        rows, offset = (part[0] for part in self.task.spec(self.goal[None]))
        return bool(surely_broken(self.task.network.engine.real, inside, rows, offset).any())


def questions(
    task: Task, x: np.ndarray, labels: Sequence[Any], numbers: Sequence[int], settings: Settings
) -> Iterator[tuple[int, Answer] | Question]:
    """Of inputs x [N, *v], numbered: the answer where onnxruntime's prediction is not the label's, which NaN among the
    scores rules out too; else the question."""
    began, flat = time.perf_counter(), x.reshape(len(x), -1).astype(np.float64)
    eps, low, high = map(_flat, (settings.eps, settings.low, settings.high))
    dtype = task.network.runtime.dtype
    attack, proof = attack_box(flat, eps, low, high, dtype), proof_box(flat, eps, low, high, dtype)
    ball = proof_ball(flat, eps, settings.norm, proof, attack)
    attacked = attack_ball(flat, eps, settings.norm, attack)
    given = fed(flat, attack)
    scores = task.network.scores(given.reshape(x.shape))
    found, goals = task.predicted(scores, list(labels)), task.goals(scores, list(labels))
    share = (time.perf_counter() - began) / max(1, len(x))
    for place, (number, label, margin) in enumerate(zip(numbers, labels, found.tolist(), strict=True)):
        if np.isnan(margin) or task.broken(margin):
            why = task.why_wrong(scores[place], label)
            yield number, Answer(Verdict.MISCLASSIFIED, why, share, margin if np.isfinite(margin) else None)
            continue
        own = Labelled(
            task, settings, flat[place], goals[place], _at(attack, place), np.array_equal(given[place], flat[place])
        )
        balls = [None if each is None else each.take(place) for each in (ball, attacked)]
        yield Question(number, [_group(own, _at(proof, place), *balls)], settings.timeout, share)


def _group(asked: Labelled, proof: Box, ball: CutBall | None, attacked: CutBall | None) -> Group:
    rows, offset = (part[0] for part in asked.task.spec(asked.goal[None]))
    count = len(offset)
    return Group(
        clauses=(),
        proof=proof,
        attack=asked.attack,
        rows=rows[:, None],
        offset=offset[:, None],
        exact=asked.task.exact_rows(asked.goal),
        alive=np.ones(count, bool),
        settlers=(None,) * count,
        ball=ball,
        attacked=attacked,
        labelled=asked,
    )


def _at(box: Box, place: int) -> Box:
    return Box(box.lower[place], box.upper[place])


def _flat(entries: Any) -> Any:
    """One number counts for all entries, several for one each."""
    return np.ravel(entries) if np.ndim(entries) else entries
