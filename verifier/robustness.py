"""The straight line of verification: ONNX file and labelled inputs in, one `Outcome` per input out.

    predict (onnxruntime) -> IBP -> DeepPoly -> attack -> α-CROWN -> attack -> branch and bound

Inputs go through every stage together. `verified` is said only on float64 bounds that exceed what may have rounded
(`bounds.errors`); `falsified` only after onnxruntime, on the file itself, confirmed the counterexample.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .arrays import as_array, exact, laid_out
from .case import Case
from .complete import Completion
from .errors import GlscertError, InputError
from .network import load
from .outcome import Outcome
from .recheck import recheck
from .region import check_inside
from .search.boxes import proof_box
from .search.memory import inputs_at_once, inputs_per_pass
from .settings import Settings as Settings
from .stages import Stages, through
from .task import Task
from .tasks import asked

Report = Callable[[Outcome], None]

MOST_AT_ONCE = 1000
_SEEN = 4  # inputs in whose regions the network is compared with its file


class Verifier:
    """A model file ready to verify inputs. Raises `InputError` or `UnsupportedError` where it cannot be."""

    def __init__(self, path: Path | str) -> None:
        self.path = path = Path(path)
        self.network = load(path)
        self.graph = self.network.graph
        self.sha256 = self.network.runtime.sha256

    def task(self, settings: Settings) -> Task:
        """What the settings ask of the network. Raises `InputError` or `UnsupportedError` where it has not the outputs
        for that."""
        try:
            return asked(self.network, settings)
        except GlscertError as error:
            raise type(error)(f"{self.path}: {error}") from error

    def verify(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        settings: Settings,
        *,
        indices: list[int] | None = None,
        report: Report | None = None,
    ) -> list[Outcome]:
        """Outcomes in the order of the inputs x [N, *v], numbers in the valid range, with labels y [N]; of a regression
        (`settings.tolerance`) y is [N], [N, K] or None.

        Balls stand around x as given. Where some of it is no float32 number and the network computes in float32,
        onnxruntime is fed the nearest ones. indices: numbers to report them under, all different; default 0 … N - 1.
        report is called with each outcome as soon as it is known; what it raises ends the run. Raises InputError where
        x or y do not fit the network.
        """
        x = laid_out(exact(as_array(x, "inputs"), "inputs"), self.graph.input_shape, "inputs")
        self._check(x, settings)
        task = self.task(settings)
        labels = task.labels(None if y is None else as_array(y, "labels"), len(x))
        numbers = indices if indices is not None else list(range(len(x)))
        if len(numbers) != len(x) or len(set(numbers)) != len(numbers):
            raise InputError(f"{len(x)} inputs need as many different indices; {len(set(numbers))} are given.")
        found: dict[int, Outcome] = {}
        for outcome in self._outcomes(task, x, labels, numbers, settings):
            found[outcome.index] = outcome
            if report is not None:
                report(outcome)
        return [found[number] for number in numbers]

    def rounded(self, x: np.ndarray) -> int:
        """How many entries of the inputs x [N, *v] onnxruntime is fed as the nearest number of the network's type."""
        return int((x.astype(self.network.runtime.dtype) != x).sum())

    def recheck(
        self,
        x: np.ndarray,
        labels: list[Any],
        settings: Settings,
        first: int,
        claims: Mapping[int, Mapping[str, Any]],
        points: Mapping[int, np.ndarray],
    ) -> None:
        """Asks onnxruntime again what an earlier run claims of the inputs x [N, *v] numbered from `first` on, with
        labels as the task has them: entries of a `Report`'s images, and its counterexamples. Raises InputError where it
        is not so."""
        self._check(x, settings)
        task, numbers = self.task(settings), sorted(claims)
        places = [number - first for number in numbers]
        cases = _cases(task, numbers, x[places], [labels[place] for place in places])
        recheck(Stages(task, settings), cases, claims, points)

    def _check(self, x: np.ndarray, settings: Settings) -> None:
        for name in ("eps", "low", "high"):
            shape = np.shape(getattr(settings, name))
            if shape not in ((), self.graph.input_shape):
                raise InputError(f"{name} has shape {shape}; give one number, or one per entry {x.shape[1:]}.")
        check_inside(x, settings.low, settings.high, "inputs")

    def _outcomes(
        self, task: Task, x: np.ndarray, labels: list[Any], numbers: list[int], settings: Settings
    ) -> Iterator[Outcome]:
        stages, graph, params = Stages(task, settings), task.network.graph, task.network.exact
        ends = proof_box(x[:_SEEN], settings.eps, settings.low, settings.high, self.network.runtime.dtype)
        self.network.check(*(end.numpy() for end in ends))
        many = min(MOST_AT_ONCE, inputs_per_pass(graph, params, settings.memory, rows=task.rows))
        few = min(many, inputs_at_once(graph, params, settings.memory))
        left: list[Case] = []
        for first in range(0, len(x), many):
            chosen = slice(first, first + many)
            cases = _cases(task, numbers[chosen], x[chosen], labels[chosen])
            cases = yield from through(cases, stages.predict)
            cases = yield from through(cases, stages.interval, settings.timeout)
            rest: list[Case] = []
            for start in range(0, len(cases), few):
                rest += yield from through(cases[start : start + few], stages.deeppoly, settings.timeout)
            rest = yield from through(rest, lambda part: stages.attack(part, restarts=1, steps=20), settings.timeout)
            left += yield from through(rest, stages.exactly, settings.timeout)
        if left:
            yield from Completion(stages, left).outcomes()


def _cases(task: Task, numbers: Sequence[int], x: np.ndarray, labels: Sequence[Any]) -> list[Case]:
    unbounded = torch.full((task.rows,), -torch.inf, dtype=torch.float64)
    numbered = zip(numbers, x, labels, strict=True)
    return [Case(number, image, label, unbounded, unbounded > 0) for number, image, label in numbered]
