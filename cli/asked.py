"""What is asked of a network with one output, said before it is verified."""

from typing import TYPE_CHECKING

from . import render

if TYPE_CHECKING:
    import numpy as np

    from glscert.verifier.task import Task

_LOOKED_AT = 256  # inputs, for a hint


def say_what_is_asked(task: "Task", x: "np.ndarray") -> None:
    """Of a single output: on which side of what threshold it is to stay."""
    asked = task.described()
    if asked["task"] != "binary":
        return
    threshold, behind = asked["threshold"], asked["behind"]
    where = f"behind a last {behind}" if behind else "of one output"
    render.logs().print(
        f"one output, read as a binary classifier: class 1 above {threshold:g}, the threshold {where}; --threshold "
        "states another, --tolerance asks for a regression.",
        markup=False,
    )
    scores = task.network.scores(x[:_LOOKED_AT])
    if not behind and threshold == 0 and len(scores) and 0 <= scores.min() and scores.max() <= 1:
        render.logs().print(
            f"all outputs looked at lie from {scores.min():g} to {scores.max():g}; if they are probabilities, give "
            "--threshold 0.5.",
            markup=False,
        )
