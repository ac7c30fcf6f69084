"""The straight line of verification: ONNX file and labelled inputs in, one `Outcome` per input out.

    predict (onnxruntime) -> IBP -> DeepPoly -> attack -> α-CROWN -> attack -> branch and bound

Inputs go through every stage together. `verified` is said only on float64 bounds that exceed `ROUNDING_MARGIN` times
the largest magnitude among the bounds they were computed from; `falsified` only after onnxruntime, on the file itself,
confirmed the counterexample.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .bounds import RELAXATIONS, Box, Spec, margin_spec
from .bounds.relaxations import anchor, relax, spec_bound
from .errors import InputError, UnsupportedError
from .graph import Model, load_model
from .outcome import Outcome, Verdict
from .replay import Runtime, margins
from .search.attack import pgd
from .search.branch_and_bound import Limits, Search
from .search.intermediate import unstable_preactivations
from .search.memory import inputs_at_once
from .search.problem import Problem

ROUNDING_MARGIN = 1e-9

Report = Callable[[Outcome], None]


@dataclass(frozen=True)
class Settings:
    """eps: radius of the l∞ ball in the input's units; low, high: the valid range it is intersected with.

    timeout: seconds per input, of the work that all inputs share. memory: bytes for coefficients. seed: the attack's.
    """

    eps: float
    low: float = 0.0
    high: float = 1.0
    timeout: float = 60.0
    memory: int = 256 * 2**20
    seed: int = 0


@dataclass
class _Case:
    """One input on its way: what is known of it so far."""

    index: int
    x: np.ndarray
    label: int
    seconds: float = 0.0
    margin: float | None = None
    reason: str = ""
    lower: torch.Tensor | None = None  # best float64 bounds of the spec rows [K-1]
    pre: dict[str, Box] | None = None

    def outcome(self, verdict: Verdict, reason: str, counterexample: np.ndarray | None = None) -> Outcome:
        return Outcome(self.index, self.label, verdict, self.margin, self.seconds, reason, counterexample)


class Verifier:
    """A model file ready to verify inputs. Raises `InputError` or `UnsupportedError` where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model: Model = load_model(path)
        self.runtime = Runtime(path)
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.graph = self.model.graph
        if len(self.graph.output_shape) != 1 or self.graph.output_shape[0] < 2:
            raise UnsupportedError(
                f"{path}: its output has shape {self.graph.output_shape}; robustness is checked on a vector of at "
                "least 2 class scores."
            )
        self._exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.model.params.items()}
        self._single = {name: value.float() for name, value in self._exact.items()}

    def verify(
        self,
        x: np.ndarray,
        y: np.ndarray,
        settings: Settings,
        *,
        indices: list[int] | None = None,
        report: Report | None = None,
    ) -> list[Outcome]:
        """Outcomes in the order of the inputs x [N, *v] (float32, in the valid range) with labels y [N].

        report is called with each outcome as soon as it is known; what it raises ends the run.
        """
        self._check(x, y, settings)
        numbers = indices if indices is not None else list(range(len(x)))
        found: dict[int, Outcome] = {}
        for outcome in self._outcomes(x.astype(np.float32), y, numbers, settings):
            found[outcome.index] = outcome
            if report is not None:
                report(outcome)
        return [found[number] for number in numbers]

    def _check(self, x: np.ndarray, y: np.ndarray, settings: Settings) -> None:
        if x.shape[1:] != self.graph.input_shape:
            raise InputError(f"inputs have shape {x.shape[1:]}, the network takes {self.graph.input_shape}.")
        if len(x) != len(y):
            raise InputError(f"{len(x)} inputs but {len(y)} labels; give one label per input.")
        if len(y) and (y.min() < 0 or y.max() >= self.graph.output_shape[0]):
            raise InputError(
                f"labels run from {y.min()} to {y.max()}; the network has classes 0 to {self.graph.output_shape[0] - 1}."
            )
        if not np.isfinite(x).all():
            raise InputError("the inputs hold NaN or infinite values; remove them.")
        if len(x) and (x.min() < settings.low or x.max() > settings.high):
            raise InputError(
                f"inputs run from {x.min():g} to {x.max():g}, outside the valid range [{settings.low:g}, {settings.high:g}];"
                " scale them, or state the range they live in."
            )

    def _outcomes(self, x: np.ndarray, y: np.ndarray, numbers: list[int], settings: Settings) -> Iterator[Outcome]:
        generator = torch.Generator().manual_seed(settings.seed)
        size = min(1000, inputs_at_once(self.graph, self._exact, settings.memory))
        open_cases: list[_Case] = []
        for first in range(0, len(x), 1000):
            cases = [
                _Case(n, a, int(b))
                for n, a, b in zip(numbers[first:], x[first : first + 1000], y[first:], strict=False)
            ]
            cases = yield from self._stage(cases, self._predict)
            cases = yield from self._stage(cases, lambda part: self._interval(part, settings))
            rest: list[_Case] = []
            for start in range(0, len(cases), size):
                rest += yield from self._stage(cases[start : start + size], lambda part: self._deeppoly(part, settings))
            open_cases += yield from self._stage(rest, lambda part: self._attack(part, settings, generator, 1, 20))
        if open_cases:
            yield from self._search(open_cases, settings, generator)

    def _stage(self, cases: list[_Case], stage: Callable[[list[_Case]], list[Outcome | None]]) -> Iterator[Outcome]:
        """Runs a stage on all cases; yields what it decides, returns what stays open. Its time is shared out evenly."""
        if not cases:
            return cases
        began = time.perf_counter()
        decided = stage(cases)
        share = (time.perf_counter() - began) / len(cases)
        rest = []
        for case, outcome in zip(cases, decided, strict=True):
            case.seconds += share
            if outcome is None:
                rest.append(case)
            else:
                yield replace(outcome, seconds=case.seconds)
        return rest

    def _predict(self, cases: list[_Case]) -> list[Outcome | None]:
        found = margins(self.runtime.logits(np.stack([c.x for c in cases])), np.array([c.label for c in cases]))
        outcomes: list[Outcome | None] = []
        for case, margin in zip(cases, found.tolist(), strict=True):
            wrong = not margin > 0
            case.margin = margin if wrong else None
            outcomes.append(
                case.outcome(Verdict.MISCLASSIFIED, "the label does not have the highest score") if wrong else None
            )
        return outcomes

    def _interval(self, cases: list[_Case], settings: Settings) -> list[Outcome | None]:
        bounds = RELAXATIONS["ibp"](self.graph, self._exact, proof_box(cases, settings), self._spec(cases))
        return self._concluded(cases, bounds.lower, bounds.pre, "IBP")

    def _deeppoly(self, cases: list[_Case], settings: Settings) -> list[Outcome | None]:
        base = anchor(self.graph, self._exact, proof_box(cases, settings))
        pre = unstable_preactivations(self.graph, self._exact, base)
        lower = spec_bound(self.graph, self._exact, base, self._spec(cases), relax(self.graph, pre))
        return self._concluded(cases, lower, pre, "DeepPoly")

    def _concluded(
        self, cases: list[_Case], lower: torch.Tensor, pre: dict[str, Box], stage: str
    ) -> list[Outcome | None]:
        outcomes: list[Outcome | None] = []
        for row, case in enumerate(cases):
            case.pre = {name: Box(box.lower[row], box.upper[row]) for name, box in pre.items()}
            case.lower = lower[row] if case.lower is None else torch.maximum(case.lower, lower[row])
            case.margin = float(case.lower.min())
            proved = case.margin > rounding_margin(case.pre)
            outcomes.append(case.outcome(Verdict.VERIFIED, stage) if proved else None)
        return outcomes

    def _spec(self, cases: list[_Case]) -> Spec:
        return margin_spec(torch.tensor([c.label for c in cases]), self.graph.output_shape[0], torch.float64)

    def _attack(
        self, cases: list[_Case], settings: Settings, generator: torch.Generator, restarts: int, steps: int
    ) -> list[Outcome | None]:
        box = attack_box(cases, settings)
        labels = torch.tensor([c.label for c in cases])
        points, _ = pgd(self.graph, self._single, box, labels, steps=steps, restarts=restarts, generator=generator)
        found = margins(self.runtime.logits(points.numpy()), labels.numpy())
        outcomes: list[Outcome | None] = []
        for case, point, margin in zip(cases, points.numpy(), found.tolist(), strict=True):
            if margin <= 0:
                case.margin = margin
            outcomes.append(case.outcome(Verdict.FALSIFIED, "attack", point) if margin <= 0 else None)
        return outcomes

    def _search(self, cases: list[_Case], settings: Settings, generator: torch.Generator) -> Iterator[Outcome]:
        """α-CROWN on every open row, a stronger attack on what it leaves, branch and bound on the rest."""
        search = Search(self.graph, self._exact, *self._problems(cases, settings), Limits(settings.timeout))
        pending = dict(enumerate(cases))
        while search.has_roots():
            search.run_round()
            yield from self._finished(search, pending, "alpha-CROWN")
        left = yield from self._stage(
            list(pending.values()), lambda part: self._attack(part, settings, generator, 10, 60)
        )
        for owner in [owner for owner, case in pending.items() if case not in left]:
            search.stop_owner(owner, "falsified")
            del pending[owner]
        while search.is_open():
            search.run_round()
            yield from self._finished(search, pending, "branch and bound")

    def _problems(self, cases: list[_Case], settings: Settings) -> tuple[list[Problem], list[float]]:
        """One problem for every specification row that DeepPoly left open, and its rounding margin."""
        box, spec = proof_box(cases, settings), self._spec(cases)
        problems, needed = [], []
        for owner, case in enumerate(cases):
            if case.lower is None or case.pre is None:
                raise ValueError(f"input {case.index} was never bounded")
            margin = rounding_margin(case.pre)
            own = Box(box.lower[owner], box.upper[owner])
            for row in (~(case.lower > margin)).nonzero().flatten().tolist():
                problems.append(Problem(owner, own, spec.rows[owner, row], spec.offset[owner, row], case.pre))
                needed.append(margin)
        return problems, needed

    def _finished(self, search: Search, pending: dict[int, _Case], stage: str) -> Iterator[Outcome]:
        """Outcomes of the inputs that the search is done with."""
        states: dict[int, list[int]] = {}
        for number, problem in enumerate(search.problems):
            if problem.owner in pending:
                states.setdefault(problem.owner, []).append(number)
        for owner, numbers in states.items():
            progress = [search.progress[number] for number in numbers]
            if any(p.done is None for p in progress):
                continue
            case = pending.pop(owner)
            case.seconds += sum(p.seconds for p in progress)
            reasons = [p.done for p in progress if p.done]
            visited = sum(p.visited for p in progress)
            bounds = [min(p.bound, p.proved) if p.done else p.proved for p in progress]
            closed = (
                [float(v) for v in case.lower if v > rounding_margin(case.pre)]
                if case.lower is not None and case.pre is not None
                else []
            )
            case.margin = _finite(min(bounds + closed))
            if reasons:
                yield case.outcome(Verdict.UNKNOWN, reasons[0])
            else:
                yield case.outcome(
                    Verdict.VERIFIED, stage if stage == "alpha-CROWN" else f"{stage}, {visited} subdomains"
                )


def rounding_margin(pre: dict[str, Box]) -> float:
    """What a float64 bound must exceed: `ROUNDING_MARGIN` times the largest magnitude among an input's boxes [*v]."""
    largest = max((float(torch.maximum(-box.lower, box.upper).abs().max()) for box in pre.values()), default=1.0)
    return ROUNDING_MARGIN * max(1.0, largest)


def proof_box(cases: list[_Case], settings: Settings) -> Box:
    """The ball in float64, every end rounded outward, within the valid range."""
    x = np.stack([c.x for c in cases]).astype(np.float64)
    eps = np.nextafter(settings.eps, np.inf) if settings.eps else 0.0
    lower = np.maximum(np.nextafter(x - eps, -np.inf), settings.low)
    upper = np.minimum(np.nextafter(x + eps, np.inf), settings.high)
    return Box(torch.from_numpy(lower), torch.from_numpy(upper))


def attack_box(cases: list[_Case], settings: Settings) -> Box:
    """The ball in float32, every end rounded inward, so that whatever lies in it lies in the true ball."""
    x = np.stack([c.x for c in cases])
    eps = np.nextafter(settings.eps, 0.0)
    lower = np.maximum(np.nextafter(x.astype(np.float64) - eps, np.inf), settings.low)
    upper = np.minimum(np.nextafter(x.astype(np.float64) + eps, -np.inf), settings.high)
    low, high = lower.astype(np.float32), upper.astype(np.float32)
    low = np.where(low < lower, np.nextafter(low, np.float32(np.inf)), low)
    high = np.where(high > upper, np.nextafter(high, np.float32(-np.inf)), high)
    return Box(torch.from_numpy(np.minimum(low, x)), torch.from_numpy(np.maximum(high, x)))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
