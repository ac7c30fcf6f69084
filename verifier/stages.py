"""The steps of verification, each over many inputs together: prediction, IBP, DeepPoly, attack.

A stage returns one entry per case: the outcome where it decides, None where the case stays open. A bound proves a row
only where it exceeds the case's margin for rounding; NaN never does.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np
import torch

from .bounds import RELAXATIONS, Bounds, Box, Spec, margin_spec
from .bounds.relaxations import anchor, relax, spec_bound
from .case import Case, finite
from .graph import Graph
from .ops import Params
from .outcome import Outcome, Verdict
from .replay import Runtime, margins
from .search.attack import pgd
from .search.boxes import attack_box, proof_box
from .search.intermediate import unstable_preactivations
from .search.rounding import rounding_margins
from .settings import Settings

Decided = list[Outcome | None]


@dataclass(frozen=True)
class Network:
    """One model file: the loaded graph with its weights in float64 and float32, and onnxruntime on the file itself."""

    graph: Graph
    exact: Params
    single: Params
    runtime: Runtime


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
        logits = self.network.runtime.logits(np.stack([c.x for c in cases]))
        found = margins(logits, np.array([c.label for c in cases]))
        outcomes: Decided = []
        for case, scores, margin in zip(cases, logits, found.tolist(), strict=True):
            if margin > 0:
                outcomes.append(None)
                continue
            case.margin = finite(margin)
            outcomes.append(case.outcome(Verdict.MISCLASSIFIED, _why_wrong(scores, case.label)))
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

    def attack(self, cases: list[Case], *, restarts: int, steps: int) -> Decided:
        """Falsified: onnxruntime, given the point alone, does not score the label above all others."""
        x, settings = np.stack([c.x for c in cases]), self.settings
        box = attack_box(x, settings.eps, settings.low, settings.high)
        labels = torch.tensor([c.label for c in cases])
        graph, runtime = self.network.graph, self.network.runtime
        found, _ = pgd(
            graph, self.network.single, box, labels, steps=steps, restarts=restarts, generator=self._generator
        )
        points = found.numpy()
        outcomes: Decided = []
        for case, point, hopeful in zip(cases, points, margins(runtime.logits(points), labels.numpy()), strict=True):
            if not hopeful <= 0:
                outcomes.append(None)
                continue
            margin = float(margins(runtime.logits(point[None]), np.array([case.label]))[0])
            if margin <= 0:
                case.margin = finite(margin)
            outcomes.append(case.outcome(Verdict.FALSIFIED, "attack", point.copy()) if margin <= 0 else None)
        return outcomes


def _why_wrong(scores: np.ndarray, label: int) -> str:
    if np.isnan(scores).any():
        return "onnxruntime returns NaN among the scores"
    others = np.delete(scores, label)
    if others.max() > scores[label]:
        return f"the network answers {int(scores.argmax())}"
    return "another class scores as high as the label"
