"""What a record of an earlier run claims of inputs, asked of onnxruntime again before it is believed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .case import Case
from .errors import InputError
from .outcome import Verdict
from .search.memory import inputs_per_pass
from .stages import Stages


def recheck(
    stages: Stages,
    cases: Sequence[Case],
    claims: Mapping[int, Mapping[str, Any]],
    points: Mapping[int, np.ndarray],
) -> None:
    """claims: entries of a report's `images` by index, of these cases; points: the counterexamples of the falsified.

    Raises InputError where an input is not classified as its verdict says, or a counterexample is none.
    """
    many = inputs_per_pass(stages.network.engine, stages.settings.memory)
    for first in range(0, len(cases), many):
        part = list(cases[first : first + many])
        for case, wrong in zip(part, stages.predict(part), strict=True):
            verdict = Verdict(claims[case.index]["verdict"])
            if (verdict is Verdict.MISCLASSIFIED) != (wrong is not None):
                answer = wrong.reason if wrong is not None else "the label wins"
                raise _refused(case, f"recorded as {verdict.value}, and in onnxruntime {answer}")
            if verdict is Verdict.FALSIFIED and not _confirmed(stages, case, points[case.index]):
                raise _refused(case, "recorded as falsified by a counterexample that is none in onnxruntime")


def _confirmed(stages: Stages, case: Case, point: np.ndarray) -> bool:
    """Whether the point, unmoved, lies in the ball and breaks the label there."""
    dtype = stages.network.runtime.dtype
    if point.shape != case.x.shape or not np.array_equal(point.astype(dtype), point):
        return False
    found = stages.replay(case, point.astype(dtype))
    return found is not None and found.counterexample is not None and np.array_equal(found.counterexample, point)


def _refused(case: Case, why: str) -> InputError:
    return InputError(
        f"input {case.index} is {why}. The file of --out was changed; delete it, or name another file for --out."
    )
