"""Answers in time, whatever a step does."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from ..alarm import alarm
from ..answer import Answer, Verdict
from ..deadline import OutOfTime
from ..settings import Effort
from .question import Question

GRACE = 0.4  # seconds, for the search to end on its own


def in_time(
    answers: Iterator[tuple[Question, Answer]], questions: Sequence[Question], effort: Effort
) -> Iterator[tuple[Question, Answer]]:
    """The answers; timeout for the questions that are without one a little after their time together."""
    left = {id(question): question for question in questions}
    began = time.perf_counter()
    while left:
        seconds = sum(max(0.0, question.timeout - question.spent) for question in left.values())
        began = time.perf_counter()
        try:
            # what is beyond a type's range is infinite, and NaN what comes of that: neither proves anything
            with alarm(seconds + GRACE), np.errstate(over="ignore", invalid="ignore"):
                question, answer = next(answers)
        except OutOfTime:
            break
        del left[id(question)]
        yield question, answer
    share = (time.perf_counter() - began) / max(1, len(left))
    for question in left.values():
        yield question, Answer(Verdict.TIMEOUT, f"timeout after {effort.timeout:g} s", question.spent + share)
