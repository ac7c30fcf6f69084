"""The straight line of verification: ONNX file and labelled inputs in, one `Outcome` per input out.

    predict (onnxruntime) -> IBP -> DeepPoly -> attack -> α-CROWN -> attack -> branch and bound

Inputs go through every stage together. `verified` is said only on float64 bounds that exceed what may have rounded
(`bounds.errors`); `falsified` only after onnxruntime, on the file itself, confirmed the counterexample.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .arrays import exact, laid_out, one_each
from .case import Case
from .complete import Completion
from .errors import InputError, UnsupportedError
from .network import load
from .outcome import Outcome
from .recheck import recheck
from .region import check_inside
from .search.boxes import proof_box
from .search.memory import inputs_at_once, inputs_per_pass
from .settings import Settings as Settings
from .stages import Stages, through

Report = Callable[[Outcome], None]

MOST_AT_ONCE = 1000
_SEEN = 4  # inputs in whose regions the network is compared with its file


class Verifier:
    """A model file ready to verify inputs. Raises `InputError` or `UnsupportedError` where it cannot be."""

    def __init__(self, path: Path | str) -> None:
        self.path = path = Path(path)
        self.network = load(path)
        self.graph = self.network.graph
        if self.graph.reading is not None and len(self.graph.reading.outputs) > 1:
            raise UnsupportedError(
                f"{path}: it has the outputs {', '.join(self.graph.reading.outputs)}; robustness is checked on one "
                "vector of class scores. Export it with the scores alone, or ask with --vnnlib."
            )
        if self.graph.output_shape[0] < 2:
            raise UnsupportedError(
                f"{path}: its output has shape {self.graph.output_shape}; robustness is checked on a vector of at "
                "least 2 class scores. Give a classifier with one output per class."
            )
        self.classes = self.graph.output_shape[0]
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
        """Outcomes in the order of the inputs x [N, *v], numbers in the valid range, with labels y [N].

        Balls stand around x as given. Where some of it is no float32 number and the network computes in float32,
        onnxruntime is fed the nearest ones. indices: numbers to report them under, all different; default 0 … N - 1.
        report is called with each outcome as soon as it is known; what it raises ends the run. Raises InputError where
        x or y do not fit the network.
        """
        x = laid_out(exact(np.asarray(x), "inputs"), self.graph.input_shape, "inputs")
        y = one_each(np.asarray(y), len(x), "labels")
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

    def rounded(self, x: np.ndarray) -> int:
        """How many entries of the inputs x [N, *v] onnxruntime is fed as the nearest number of the network's type."""
        return int((x.astype(self.network.runtime.dtype) != x).sum())

    def recheck(
        self,
        x: np.ndarray,
        y: np.ndarray,
        settings: Settings,
        first: int,
        claims: Mapping[int, Mapping[str, Any]],
        points: Mapping[int, np.ndarray],
    ) -> None:
        """Asks onnxruntime again what an earlier run claims of the inputs x [N, *v] numbered from `first` on: entries
        of a `Report`'s images, and its counterexamples. Raises InputError where it is not so."""
        self._check(x, y, settings)
        numbers = sorted(claims)
        places = [number - first for number in numbers]
        recheck(Stages(self.network, settings), self._cases(numbers, x[places], y[places]), claims, points)

    def _cases(self, numbers: Sequence[int], x: np.ndarray, y: np.ndarray) -> list[Case]:
        unbounded = torch.full((self.classes - 1,), -torch.inf, dtype=torch.float64)
        numbered = zip(numbers, x, y.tolist(), strict=True)
        return [Case(number, image, label, unbounded, unbounded > 0) for number, image, label in numbered]

    def _check(self, x: np.ndarray, y: np.ndarray, settings: Settings) -> None:
        classes = self.classes
        if not np.issubdtype(y.dtype, np.integer):
            raise InputError(f"labels are {y.dtype}; give integers.")
        if len(y) and (y.min() < 0 or y.max() >= classes):
            raise InputError(
                f"labels run from {y.min()} to {y.max()}; the network has classes 0 to {classes - 1}. "
                "Give the labels it was trained with."
            )
        for name in ("eps", "low", "high"):
            shape = np.shape(getattr(settings, name))
            if shape not in ((), self.graph.input_shape):
                raise InputError(f"{name} has shape {shape}; give one number, or one per entry {x.shape[1:]}.")
        check_inside(x, settings.low, settings.high, "inputs")

    def _outcomes(self, x: np.ndarray, y: np.ndarray, numbers: list[int], settings: Settings) -> Iterator[Outcome]:
        stages, network = Stages(self.network, settings), self.network
        ends = proof_box(x[:_SEEN], settings.eps, settings.low, settings.high, network.runtime.dtype)
        network.check(*(end.numpy() for end in ends))
        many = min(MOST_AT_ONCE, inputs_per_pass(self.graph, network.exact, settings.memory))
        few = min(many, inputs_at_once(self.graph, network.exact, settings.memory))
        left: list[Case] = []
        for first in range(0, len(x), many):
            chosen = slice(first, first + many)
            cases = self._cases(numbers[chosen], x[chosen], y[chosen])
            cases = yield from through(cases, stages.predict)
            cases = yield from through(cases, stages.interval, settings.timeout)
            rest: list[Case] = []
            for start in range(0, len(cases), few):
                rest += yield from through(cases[start : start + few], stages.deeppoly, settings.timeout)
            rest = yield from through(rest, lambda part: stages.attack(part, restarts=1, steps=20), settings.timeout)
            left += yield from through(rest, stages.exactly, settings.timeout)
        if left:
            yield from Completion(stages, left).outcomes()
