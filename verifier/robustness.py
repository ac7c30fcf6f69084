"""The straight line of verification: ONNX file and labelled inputs in, one `Outcome` per input out.

    predict (onnxruntime) -> IBP -> DeepPoly -> attack -> α-CROWN -> attack -> branch and bound

Inputs go through every stage together. `verified` is said only on float64 bounds that exceed what may have rounded
(`bounds.errors`); `falsified` only after onnxruntime, on the file itself, confirmed the counterexample.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .case import Case
from .complete import Completion
from .errors import GlscertError, InputError
from .network import load
from .outcome import Outcome
from .region import check_inside
from .search.boxes import proof_box
from .search.memory import inputs_at_once, inputs_per_pass
from .settings import Settings as Settings
from .stages import Stages, through
from .task import Task, asked

Report = Callable[[Outcome], None]

MOST_AT_ONCE = 1000
_SEEN = 4  # inputs in whose regions the network is compared with its file


class Verifier:
    """A model file ready to verify inputs. Raises `InputError` or `UnsupportedError` where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.network = load(path)
        self.graph = self.network.graph
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

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
        """Outcomes in the order of the inputs x [N, *v] (taken as float32, in the valid range) with labels y [N];
        of a regression (`settings.tolerance`) y is [N], [N, K] or None.

        indices: numbers to report them under, all different; default 0 … N - 1. report is called with each outcome as
        soon as it is known; what it raises ends the run. Raises InputError where x or y do not fit the network.
        """
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        self._check(x, settings)
        task = self.task(settings)
        labels = task.labels(y, len(x))
        numbers = indices if indices is not None else list(range(len(x)))
        if len(numbers) != len(x) or len(set(numbers)) != len(numbers):
            raise InputError(f"{len(x)} inputs need as many different indices; {len(set(numbers))} are given.")
        found: dict[int, Outcome] = {}
        for outcome in self._outcomes(task, x, labels, numbers, settings):
            found[outcome.index] = outcome
            if report is not None:
                report(outcome)
        return [found[number] for number in numbers]

    def _check(self, x: np.ndarray, settings: Settings) -> None:
        if x.shape[1:] != self.graph.input_shape:
            raise InputError(f"inputs have shape {x.shape[1:]}, the network takes {self.graph.input_shape}.")
        if not np.isfinite(x).all():
            raise InputError("the inputs hold NaN or values beyond float32; remove them.")
        for name in ("eps", "low", "high"):
            shape = np.shape(getattr(settings, name))
            if shape not in ((), self.graph.input_shape):
                raise InputError(f"{name} has shape {shape}; give one number, or one per entry {x.shape[1:]}.")
        check_inside(x, settings.low, settings.high, "inputs")

    def _outcomes(
        self, task: Task, x: np.ndarray, labels: list[Any], numbers: list[int], settings: Settings
    ) -> Iterator[Outcome]:
        stages, graph, params = Stages(task, settings), task.network.graph, task.network.exact
        self.network.check(*(end.numpy() for end in proof_box(x[:_SEEN], settings.eps, settings.low, settings.high)))
        rows = settings.memory // (8 * task.rows * graph.output_shape[0])
        many = max(1, min(MOST_AT_ONCE, inputs_per_pass(graph, settings.memory), rows))
        few = min(many, inputs_at_once(graph, params, settings.memory))
        unbounded = torch.full((task.rows,), -torch.inf, dtype=torch.float64)
        left: list[Case] = []
        for first in range(0, len(x), many):
            chosen = slice(first, first + many)
            numbered = zip(numbers[chosen], x[chosen], labels[chosen], strict=True)
            cases = [Case(number, image, label, unbounded, unbounded > 0) for number, image, label in numbered]
            cases = yield from through(cases, stages.predict)
            cases = yield from through(cases, stages.interval)
            rest: list[Case] = []
            for start in range(0, len(cases), few):
                rest += yield from through(cases[start : start + few], stages.deeppoly)
            left += yield from through(rest, lambda part: stages.attack(part, restarts=1, steps=20))
        if left:
            yield from Completion(stages, left).outcomes()
