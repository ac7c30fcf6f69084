"""Labelled inputs of one network, and their answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..answer import Answer, Verdict
from ..arrays import as_array, exact, laid_out
from ..errors import GlscertError, InputError
from ..network import Network
from ..region import check_inside
from ..search.boxes import proof_box
from ..search.clauses import LabelledInput
from ..settings import Settings
from ..task import Task
from ..tasks import asked
from .jobs import ALONE, Jobs, spread
from .labelled import questions
from .line import answers
from .question import Question
from .timed import in_time

Report = Callable[[int, Answer], None]

_AT_ONCE = 1000  # inputs whose predictions are asked together
_PART = 64  # inputs that are decided together: few, so that hard ones do not leave other processes idle
_SEEN = 4  # inputs in whose regions the network is compared with its file


def task_of(network: Network, settings: Settings) -> Task:
    """What the settings ask of the network. Raises `InputError` or `UnsupportedError` where it has not the outputs for
    that."""
    try:
        return asked(network, settings)
    except GlscertError as error:
        raise type(error)(f"{network.path}: {error}") from error


def robust(
    network: Network,
    x: np.ndarray,
    y: np.ndarray | None,
    settings: Settings,
    *,
    indices: Sequence[int] | None = None,
    report: Report | None = None,
    jobs: Jobs = ALONE,
) -> list[Answer]:
    """Answers in the order of the inputs x [N, *v], numbers in the valid range, with labels y [N]; of a regression
    (`settings.tolerance`) y is [N], [N, K] or None. A counterexample has the input's shape.

    Balls stand around x as given. Where some of it is no float32 number and the network computes in float32,
    onnxruntime is fed the nearest ones. indices: numbers to report them under, all different; default 0 … N - 1.
    report is called with each number and answer as soon as it is known; what it raises ends the run. jobs: processes
    that share the inputs. Raises InputError where x or y do not fit the network.
    """
    x = laid_out(exact(as_array(x, "inputs"), "inputs"), network.graph.input_shape, "inputs")
    check_settings(network, x, settings)
    task = task_of(network, settings)
    labels = task.labels(None if y is None else as_array(y, "labels"), len(x))
    numbers = list(indices) if indices is not None else list(range(len(x)))
    if len(numbers) != len(x) or len(set(numbers)) != len(numbers):
        raise InputError(f"{len(x)} inputs need as many different indices; {len(set(numbers))} are given.")
    ends = proof_box(x[:_SEEN], settings.eps, settings.low, settings.high, network.runtime.dtype)
    network.check(*ends)
    found: dict[int, Answer] = {}
    for number, answer in _answered(network, task, _Inputs(x, labels, numbers), settings, jobs):
        found[number] = answer
        if report is not None:
            report(number, answer)
    return [found[number] for number in numbers]


def check_settings(network: Network, x: np.ndarray, settings: Settings) -> None:
    """Raises InputError where the settings do not fit the network's inputs x [N, *v]."""
    for name in ("eps", "low", "high"):
        shape = np.shape(getattr(settings, name))
        if shape not in ((), network.graph.input_shape):
            raise InputError(f"{name} has shape {shape}; give one number, or one per entry {x.shape[1:]}.")
    check_inside(x, settings.low, settings.high, "inputs")


def rounded(network: Network, x: np.ndarray) -> int:
    """How many entries of the inputs x [N, *v] onnxruntime is fed as the nearest number of the network's type."""
    return int((x.astype(network.runtime.dtype) != x).sum())


class _Inputs(NamedTuple):
    x: np.ndarray
    labels: Sequence[Any]
    numbers: Sequence[int]

    def parts(self) -> list["_Inputs"]:
        cuts = [slice(first, first + _PART) for first in range(0, len(self.x), _PART)]
        return [_Inputs(self.x[cut], self.labels[cut], self.numbers[cut]) for cut in cuts]


def _answered(
    network: Network, task: Task, inputs: _Inputs, settings: Settings, jobs: Jobs
) -> Iterator[tuple[int, Answer]]:
    if jobs.several:
        yield from spread(_begin, (network, settings), inputs.parts(), jobs)
        return
    for part in inputs.parts():
        yield from _part(task, settings, part)


def _begin(common: tuple[Network, Settings]) -> Callable[[_Inputs], Iterator[tuple[int, Answer]]]:
    """In a process of its own."""
    network, settings = common
    return partial(_part, task_of(network, settings), settings)


def _part(task: Task, settings: Settings, inputs: _Inputs) -> Iterator[tuple[int, Answer]]:
    asking: list[Question] = []
    for found in questions(task, *inputs, settings):
        if isinstance(found, Question):
            asking.append(found)
        else:
            yield found
    effort = settings.effort
    for question, answer in in_time(answers(task.network, asking, effort), asking, effort):
        yield question.key, answer


def recheck(
    network: Network,
    x: np.ndarray,
    labels: Sequence[Any],
    settings: Settings,
    first: int,
    claims: Mapping[int, Mapping[str, Any]],
    points: Mapping[int, np.ndarray],
) -> None:
    """Asks onnxruntime again what an earlier run claims of the inputs x [N, *v], numbered from `first` on, with labels
    as the task has them: entries of a record's `images`, and its counterexamples.

    Raises InputError where an input is not classified as its verdict says, or a counterexample is none.
    """
    check_settings(network, x, settings)
    task, numbers = task_of(network, settings), sorted(claims)
    for start in range(0, len(numbers), _AT_ONCE):
        part = numbers[start : start + _AT_ONCE]
        places = [number - first for number in part]
        for found in questions(task, x[places], [labels[place] for place in places], part, settings):
            number, wrong = (found.key, None) if isinstance(found, Question) else found
            verdict = Verdict(claims[number]["verdict"])
            if (verdict is Verdict.MISCLASSIFIED) != (wrong is not None):
                answer = wrong.reason if wrong is not None else "the label wins"
                raise _refused(number, f"recorded as {verdict.value}, and in onnxruntime {answer}")
            if verdict is Verdict.FALSIFIED and isinstance(found, Question):
                if not _confirmed(network, found.groups[0].labelled, points[number]):
                    raise _refused(number, "recorded as falsified by a counterexample that is none in onnxruntime")


def _confirmed(network: Network, asked: LabelledInput | None, point: np.ndarray) -> bool:
    """Whether the point, unmoved, lies in the ball and breaks the label there."""
    dtype = network.runtime.dtype
    if asked is None or point.shape != network.graph.input_shape or not np.array_equal(point.astype(dtype), point):
        return False
    found = asked.witness(point.astype(dtype).ravel())
    return found is not None and np.array_equal(found.x, point)


def _refused(number: int, why: str) -> InputError:
    return InputError(
        f"input {number} is {why}. The file of --out was changed; delete it, or name another file for --out."
    )
