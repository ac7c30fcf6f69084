"""Certificates for tests: of what the default leaf closes at the root by some rule, and by trees grown by hand."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx

from glscert.verifier.check.certificate import encode
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.digest import data_digest, model_digest
from glscert.verifier.check.header import labelled_questions
from glscert.verifier.check.questions import Asked, Question
from glscert.verifier.check.replay import broken, evaluate
from glscert.verifier.check.values import Answer, Certificate, Group, Misclassified, Proved, Said, Uncovered


def about(x: np.ndarray, y: np.ndarray, eps: float, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    """The header's questions, of labelled inputs."""
    return {
        "kind": "labelled",
        "data": data_digest(x, y),
        "eps": [eps.hex()],
        "low": [low.hex()],
        "high": [high.hex()],
        "norm": "linf",
        "task": {"task": "classification"},
    }


def default_rules(checker: Checker, groups: Sequence[Asked]) -> list[int | None]:
    """The first rule by which the default leaf closes all clauses, of each; None where none does."""
    found: list[int | None] = [None] * len(groups)
    for rule in (0, 1, 2):
        left = [place for place, own in enumerate(found) if own is None]
        for place, closed in zip(left, checker.roots([groups[place] for place in left], rule), strict=True):
            if closed.all():
                found[place] = rule
    return found


def default_answers(checker: Checker, questions: dict[int, Question]) -> list[tuple[int, Answer]]:
    keys = sorted(questions)
    outputs = evaluate(checker.network, np.stack([questions[key].groups[0].middle for key in keys]))
    rules = default_rules(checker, [questions[key].groups[0] for key in keys])
    found: list[tuple[int, Answer]] = []
    for key, y, rule in zip(keys, outputs, rules, strict=True):
        if broken(questions[key].groups[0], questions[key].groups[0].middle, y):
            found.append((key, Misclassified()))
        else:
            found.append((key, Uncovered(Said.UNKNOWN) if rule is None else Proved((Group(rule),))))
    return found


def labelled_certificate(
    model: onnx.ModelProto, x: np.ndarray, y: np.ndarray, eps: float, arithmetic: str = "float32",
    answers: Sequence[tuple[int, Answer]] | None = None, low: float = 0.0, high: float = 1.0,
) -> bytes:  # fmt: skip
    """Of all inputs, by default leaves, or with these answers."""
    checker, asked = Checker(model, arithmetic), about(x, y, eps, low, high)
    if answers is None:
        questions = labelled_questions(asked, checker.network, x, y.tolist(), range(len(x)))
        answers = default_answers(checker, questions)
    tool = f"glscert {version('glscert')}"
    return encode(Certificate(arithmetic, model_digest(model), asked, tool, tuple(answers)))
