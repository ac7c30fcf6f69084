"""The straight line of verification: ONNX file and labelled inputs in, one `Outcome` per input out.

    predict (onnxruntime) -> IBP -> DeepPoly -> attack -> α-CROWN -> attack -> branch and bound

Inputs go through every stage together. `verified` is said only on float64 bounds that exceed a margin for rounding
(`search.rounding`); `falsified` only after onnxruntime, on the file itself, confirmed the counterexample.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from .case import Case
from .complete import Completion
from .errors import InputError, UnsupportedError
from .network import load
from .outcome import Outcome
from .region import check_inside
from .search.memory import inputs_at_once, inputs_per_pass
from .settings import Settings as Settings
from .stages import Stages, through

Report = Callable[[Outcome], None]

MOST_AT_ONCE = 1000


class Verifier:
    """A model file ready to verify inputs. Raises `InputError` or `UnsupportedError` where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.network = load(path)
        self.graph = self.network.graph
        if self.graph.output_shape[0] < 2:
            raise UnsupportedError(
                f"{path}: its output has shape {self.graph.output_shape}; robustness is checked on a vector of at "
                "least 2 class scores. Give a classifier with one output per class."
            )
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def verify(
        self,
        x: np.ndarray,
        y: np.ndarray,
        settings: Settings,
        *,
        indices: list[int] | None = None,
        report: Report | None = None,
    ) -> list[Outcome]:
        """Outcomes in the order of the inputs x [N, *v] (taken as float32, in the valid range) with labels y [N].

        indices: numbers to report them under, all different; default 0 … N - 1. report is called with each outcome as
        soon as it is known; what it raises ends the run. Raises InputError where x or y do not fit the network.
        """
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        self._check(x, y, settings)
        numbers = indices if indices is not None else list(range(len(x)))
        if len(numbers) != len(x) or len(set(numbers)) != len(numbers):
            raise InputError(f"{len(x)} inputs need as many different indices; {len(set(numbers))} are given.")
        found: dict[int, Outcome] = {}
        for outcome in self._outcomes(x, y, numbers, settings):
            found[outcome.index] = outcome
            if report is not None:
                report(outcome)
        return [found[number] for number in numbers]

    def _check(self, x: np.ndarray, y: np.ndarray, settings: Settings) -> None:
        classes = self.graph.output_shape[0]
        if x.shape[1:] != self.graph.input_shape:
            raise InputError(f"inputs have shape {x.shape[1:]}, the network takes {self.graph.input_shape}.")
        if y.shape != (len(x),):
            raise InputError(f"{len(x)} inputs but labels of shape {y.shape}; give one label per input.")
        if not np.issubdtype(y.dtype, np.integer):
            raise InputError(f"labels are {y.dtype}; give integers.")
        if len(y) and (y.min() < 0 or y.max() >= classes):
            raise InputError(
                f"labels run from {y.min()} to {y.max()}; the network has classes 0 to {classes - 1}. "
                "Give the labels it was trained with."
            )
        if not np.isfinite(x).all():
            raise InputError("the inputs hold NaN or values beyond float32; remove them.")
        for name in ("eps", "low", "high"):
            shape = np.shape(getattr(settings, name))
            if shape not in ((), self.graph.input_shape):
                raise InputError(f"{name} has shape {shape}; give one number, or one per entry {x.shape[1:]}.")
        check_inside(x, settings.low, settings.high, "inputs")

    def _outcomes(self, x: np.ndarray, y: np.ndarray, numbers: list[int], settings: Settings) -> Iterator[Outcome]:
        stages, network, rows = Stages(self.network, settings), self.network, self.graph.output_shape[0] - 1
        many = min(MOST_AT_ONCE, inputs_per_pass(self.graph, network.exact, settings.memory, rows=rows))
        few = min(many, inputs_at_once(self.graph, network.exact, settings.memory))
        unbounded = torch.full((rows,), -torch.inf, dtype=torch.float64)
        left: list[Case] = []
        for first in range(0, len(x), many):
            chosen = slice(first, first + many)
            numbered = zip(numbers[chosen], x[chosen], y[chosen].tolist(), strict=True)
            cases = [Case(number, image, label, unbounded) for number, image, label in numbered]
            cases = yield from through(cases, stages.predict)
            cases = yield from through(cases, stages.interval, settings.timeout)
            rest: list[Case] = []
            for start in range(0, len(cases), few):
                rest += yield from through(cases[start : start + few], stages.deeppoly, settings.timeout)
            left += yield from through(rest, lambda part: stages.attack(part, restarts=1, steps=20), settings.timeout)
        if left:
            yield from Completion(stages, left).outcomes()
