"""The steps of verification, each over many inputs together: prediction, IBP, DeepPoly, attack.

A stage returns one entry per case: the outcome where it decides, None where the case stays open. A bound proves a row
only where it exceeds the case's margin for rounding; NaN never does.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import torch

from .bounds import RELAXATIONS, Bounds, Box, Spec, margin_spec
from .bounds.substitution import anchor, relax, spec_bound
from .case import Case, finite
from .network import Network
from .outcome import Outcome, Verdict
from .replay import margins
from .search.attack import pgd, robustness
from .search.boxes import attack_box, proof_box
from .search.intermediate import unstable_preactivations
from .search.memory import inputs_per_pass
from .search.rounding import rounding_margins
from .settings import Settings

Decided = list[Outcome | None]


def through(cases: list[Case], stage: Callable[[list[Case]], Decided]) -> Generator[Outcome, None, list[Case]]:
    """Runs a stage on all cases; yields what it decides, returns what stays open. Its time is shared out evenly."""
    if not cases:
        return []
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


class Stages:
    """The stages of one run; the attack draws from one generator throughout."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._generator = torch.Generator().manual_seed(settings.seed)

    def proof_box(self, cases: list[Case]) -> Box:
        return proof_box(np.stack([c.x for c in cases]), self.settings.eps, self.settings.low, self.settings.high)

    def spec(self, cases: list[Case]) -> Spec:
        labels = torch.tensor([c.label for c in cases])
        return margin_spec(labels, self.network.graph.output_shape[0], torch.float64)

    def predict(self, cases: list[Case]) -> Decided:
        """Misclassified: the label does not win alone, which NaN among the scores rules out too."""
        scores = self.network.scores(np.stack([c.x for c in cases]))
        found = margins(scores, np.array([c.label for c in cases]))
        outcomes: Decided = []
        for case, own, margin in zip(cases, scores, found.tolist(), strict=True):
            if margin > 0:
                outcomes.append(None)
                continue
            case.margin = finite(margin)
            outcomes.append(case.outcome(Verdict.MISCLASSIFIED, _why_wrong(own, case.label)))
        return outcomes

    def interval(self, cases: list[Case]) -> Decided:
        box = self.proof_box(cases)
        return self._concluded(
            cases, box, RELAXATIONS["ibp"](self.network.graph, self.network.exact, box, self.spec(cases)), "IBP"
        )

    def deeppoly(self, cases: list[Case]) -> Decided:
        graph, params, box = self.network.graph, self.network.exact, self.proof_box(cases)
        base = anchor(graph, params, box)
        pre = unstable_preactivations(graph, params, base)
        lower = spec_bound(graph, params, base, self.spec(cases), relax(graph, pre))
        return self._concluded(cases, box, Bounds(lower, pre), "DeepPoly")

    def _concluded(self, cases: list[Case], box: Box, bounds: Bounds, stage: str) -> Decided:
        """Keeps the better of old and new bounds, row by row, and what the search will need of an open case."""
        needed = rounding_margins(self.network.graph, self.network.exact, box, bounds.pre).tolist()
        outcomes: Decided = []
        for row, case in enumerate(cases):
            case.lower, case.needed = torch.fmax(case.lower, bounds.lower[row]), needed[row]  # fmax passes NaN over
            case.margin = finite(float(case.lower.min()))
            if bool((case.lower > case.needed).all()):
                outcomes.append(case.outcome(Verdict.VERIFIED, stage))
                continue
            # Copies: a view would keep the boxes of the whole batch alive.
            case.pre = {n: Box(b.lower[row].clone(), b.upper[row].clone()) for n, b in bounds.pre.items()}
            outcomes.append(None)
        return outcomes

    def attack_box(self, cases: list[Case]) -> Box:
        return attack_box(np.stack([c.x for c in cases]), self.settings.eps, self.settings.low, self.settings.high)

    def attack(self, cases: list[Case], *, restarts: int, steps: int) -> Decided:
        """One descent of the margin for each case."""
        box, labels = self.attack_box(cases), torch.tensor([c.label for c in cases])
        points, _ = self._pgd(box, labels, None, restarts, steps)
        return [self.replay(case, point) for case, point in zip(cases, points, strict=True)]

    def attack_rows(self, cases: list[Case], *, restarts: int, steps: int) -> Decided:
        """One descent for each row that no bound has closed, towards its class."""
        rows = [(n, r) for n, c in enumerate(cases) for r in (~(c.lower > c.needed)).nonzero().flatten().tolist()]
        owners = torch.tensor([owner for owner, _ in rows])
        labels = torch.tensor([case.label for case in cases])[owners]
        targets = torch.tensor([row for _, row in rows])
        targets = targets + (targets >= labels)  # a label has no row
        box = self.attack_box(cases)
        points, found = self._pgd(Box(box.lower[owners], box.upper[owners]), labels, targets, restarts, steps)
        best: dict[int, int] = {}
        for place, owner in enumerate(owners.tolist()):
            if owner not in best or found[place] < found[best[owner]]:
                best[owner] = place
        return [self.replay(case, points[best[owner]]) for owner, case in enumerate(cases)]

    def _pgd(
        self, box: Box, labels: torch.Tensor, targets: torch.Tensor | None, restarts: int, steps: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`pgd` on as many boxes at a time as an input pass may hold."""
        graph, size = self.network.graph, inputs_per_pass(self.network.graph, self.settings.memory)
        parts = []
        for first in range(0, len(labels), size):
            here = slice(first, first + size)
            part = Box(box.lower[here], box.upper[here])
            aim = robustness(labels[here], None if targets is None else targets[here])
            options: dict = {"steps": steps, "restarts": restarts, "generator": self._generator}
            parts.append(pgd(graph, self.network.single, part, aim, **options))
        points, margin = zip(*parts, strict=True)
        return torch.cat(points), torch.cat(margin)

    def replay(self, case: Case, point: torch.Tensor) -> Outcome | None:
        """Falsified where onnxruntime, given the point alone, does not score the label above all others."""
        box = self.attack_box([case])
        inside = torch.minimum(torch.maximum(point.to(box.lower.dtype)[None], box.lower), box.upper).numpy()
        margin = float(margins(self.network.scores(inside), np.array([case.label]))[0])
        if not margin <= 0:  # NaN is no counterexample
            return None
        case.margin = finite(margin)
        return case.outcome(Verdict.FALSIFIED, "attack", inside[0])


def _why_wrong(scores: np.ndarray, label: int) -> str:
    if np.isnan(scores).any():
        return "onnxruntime returns NaN among the scores"
    others = np.delete(scores, label)
    if others.max() > scores[label]:
        return f"the network answers {int(scores.argmax())}"
    return "another class scores as high as the label"
