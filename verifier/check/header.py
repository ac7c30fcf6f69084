"""What a certificate's header says of its questions, read and held against what the checker covers."""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .network import INPUT, Network
from .questions import Ball, Clauses, Question, Row, labelled
from .refusal import NotCovered, Refused
from .steps import Array

_PLACE = "header, questions"
_MOST_CLASSES = 4096  # a clause of one has a row of them all


def kind(questions: Mapping[str, Any]) -> str:
    """labelled or vnnlib. Raises Refused."""
    found = questions.get("kind")
    if found not in ("labelled", "vnnlib"):
        raise Refused(_PLACE, f"{str(found)[:40]!r} is no kind of questions.")
    return str(found)


def ball(questions: Mapping[str, Any], entries: int) -> Ball:
    """The ball of a labelled input. Raises Refused where numbers are missing or are none, NotCovered for a norm
    other than that of the largest change."""
    if questions.get("norm") != "linf":
        raise NotCovered(f"balls in {str(questions.get('norm'))[:40]} are not covered, those in linf are.")
    eps, low, high = (_numbers(questions, name, entries) for name in ("eps", "low", "high"))
    if not (np.isfinite(eps).all() and (eps >= 0).all() and (low < high).all()):
        raise Refused(_PLACE, "eps is finite and not negative, and low lies below high, in every entry.")
    return Ball(eps, low, high)


def _numbers(questions: Mapping[str, Any], name: str, entries: int) -> Array:
    stated = questions.get(name)
    if not isinstance(stated, list) or len(stated) not in (1, entries):
        raise Refused(_PLACE, f"{name} is a list of one number, or of one for each of {entries} entries.")
    try:
        found = np.array([float.fromhex(part) for part in stated])
    except (TypeError, ValueError, OverflowError):
        raise Refused(_PLACE, f"{name} holds what float.hex() does not write.") from None
    if any(number.hex() != part or math.isnan(number) for number, part in zip(found.tolist(), stated, strict=True)):
        raise Refused(_PLACE, f"{name} holds what float.hex() does not write.")
    return found if len(found) > 1 else found[0]


def labelled_questions(
    questions: Mapping[str, Any], network: Network, x: Array, labels: Sequence[int], keys: Sequence[int]
) -> dict[int, Question]:
    """Of inputs x [N, ...] and their labels, those with these numbers. Raises Refused or NotCovered."""
    if kind(questions) != "labelled":
        raise Refused(_PLACE, "they are not of labelled inputs.")
    entries, outputs = network.sizes[INPUT], network.sizes[network.output]
    within = ball(questions, entries)
    if x[:1].size != entries and len(x):
        raise Refused(_PLACE, f"inputs of {x[:1].size} entries; the network takes {entries}.")
    count, of_label = _task(questions.get("task"), outputs, network)
    known = [key for key in keys if key < len(x) and 0 <= labels[key] < count]
    clauses = {label: of_label(label) for label in {labels[key] for key in known}}
    by_key = labelled(x[known], [labels[key] for key in known], within, clauses, network.floating)
    return dict(zip(known, by_key, strict=True))


def _task(stated: Any, outputs: int, network: Network) -> tuple[int, Callable[[int], Clauses]]:
    """How many labels there are, and the clauses of one. Raises NotCovered."""
    entries, task = network.sizes[INPUT], stated.get("task") if isinstance(stated, dict) else None
    one = Fraction(1)
    if task == "classification" and outputs > _MOST_CLASSES:
        raise NotCovered(f"{outputs} classes; up to {_MOST_CLASSES} are covered.")
    if task == "classification" and outputs > 1:

        def of_label(label: int) -> Clauses:
            rows = tuple((Row(((label, one), (other, -one))),) for other in range(outputs) if other != label)
            return Clauses(rows, entries, outputs)

        return outputs, of_label
    if task == "binary" and outputs == 1 and stated.get("behind") is None and network.ending is None:
        number = float(_numbers({"threshold": [stated.get("threshold")]}, "threshold", 1))
        if not math.isfinite(number):
            raise Refused(_PLACE, f"the threshold is {number}.")
        threshold = Fraction(number)
        rows = (Row(((0, -one),), threshold), Row(((0, one),), -threshold))
        return 2, lambda label: Clauses(((rows[label],),), entries, outputs)
    raise NotCovered(f"the task {str(stated)[:80]} of a network with {outputs} outputs is not covered.")
