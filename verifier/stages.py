"""The steps of verification, each over many inputs together: prediction, IBP, DeepPoly, attack.

A stage returns one entry per case: the outcome where it decides, None where the case stays open. A bound proves a row
only where it exceeds what may have rounded in it; NaN never does.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import torch

from .bounds import Bounds, Box, Spec
from .bounds.affine_images import with_affine_images
from .bounds.ball import CutBall
from .bounds.errors import Errors, analysed
from .bounds.ibp import ibp
from .bounds.substitution import anchor, relax, spec_bound
from .case import Case, finite
from .outcome import Outcome, Verdict
from .search.attack import Region, part_of, pgd
from .search.boxes import attack_ball, attack_box, drawn_in, proof_ball, proof_box
from .search.intermediate import unstable_preactivations
from .search.memory import inputs_per_pass
from .search.proof import closer
from .settings import Settings
from .task import Task

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

    def __init__(self, task: Task, settings: Settings) -> None:
        self.task, self.network, self.settings = task, task.network, settings
        self._generator = torch.Generator().manual_seed(settings.seed)

    def proof_box(self, cases: list[Case]) -> tuple[Box, CutBall | None]:
        """What is proved covers the box, or the part of it that the ball is cut to."""
        x, asked = np.stack([c.x for c in cases]), self.settings
        box = proof_box(x, asked.eps, asked.low, asked.high)
        return box, proof_ball(x, asked.eps, asked.norm, box)

    def spec(self, cases: list[Case]) -> Spec:
        return self.task.spec(_goals(cases))

    def predict(self, cases: list[Case]) -> Decided:
        """Misclassified: the prediction is not the label's, which NaN among the scores rules out too."""
        scores = self.network.scores(np.stack([c.x for c in cases]))
        labels = [c.label for c in cases]
        found, goals = self.task.predicted(scores, labels), self.task.goals(scores, labels)
        outcomes: Decided = []
        for case, own, margin, goal in zip(cases, scores, found.tolist(), goals, strict=True):
            if not (np.isnan(margin) or self.task.broken(margin)):
                case.goal = goal
                outcomes.append(None)
                continue
            case.margin = finite(margin)
            outcomes.append(case.outcome(Verdict.MISCLASSIFIED, self.task.why_wrong(own, case.label)))
        return outcomes

    def interval(self, cases: list[Case]) -> Decided:
        graph, params, (box, ball) = self.network.graph, self.network.exact, self.proof_box(cases)
        base, spec = anchor(graph, params, box, ball), self.spec(cases)
        known = None if ball is None else with_affine_images(graph, params, base).boxes
        bounds = ibp(graph, params, box, spec, boxes=known)
        needed = analysed(graph, params, base, bounds.pre, sound=False).rows(*spec)
        return self._concluded(cases, bounds, needed, "IBP")

    def deeppoly(self, cases: list[Case]) -> Decided:
        graph, params, (box, ball) = self.network.graph, self.network.exact, self.proof_box(cases)
        base = anchor(graph, params, box, ball)
        if ball is not None:
            base = with_affine_images(graph, params, base)
        errors = Errors(graph, params, base)
        pre, spec = unstable_preactivations(graph, params, base, errors), self.spec(cases)
        lower = spec_bound(graph, params, base, spec, relax(graph, pre))
        needed = closer(graph, params, base, spec, pre, errors, lower)
        return self._concluded(cases, Bounds(lower, pre), needed, "DeepPoly")

    def _concluded(self, cases: list[Case], bounds: Bounds, needed: torch.Tensor, stage: str) -> Decided:
        """Keeps what is proved, row by row, the better of old and new bounds, and what the search will need of an open
        case. needed [B, K-1]: what bounds must exceed."""
        outcomes: Decided = []
        for row, case in enumerate(cases):
            case.proved = case.proved | (bounds.lower[row] > needed[row])
            case.lower = torch.fmax(case.lower, bounds.lower[row])  # fmax passes NaN over
            case.margin = finite(float(case.lower.min()))
            if bool(case.proved.all()):
                outcomes.append(case.outcome(Verdict.VERIFIED, stage))
                continue
            # Copies: a view would keep the boxes of the whole batch alive.
            case.pre = {n: Box(b.lower[row].clone(), b.upper[row].clone()) for n, b in bounds.pre.items()}
            outcomes.append(None)
        return outcomes

    def _attacked(self, cases: list[Case]) -> Region:
        x, asked = np.stack([c.x for c in cases]), self.settings
        box = attack_box(x, asked.eps, asked.low, asked.high)
        return attack_ball(x, asked.eps, asked.norm, box) or box

    def attack(self, cases: list[Case], *, restarts: int, steps: int) -> Decided:
        """One descent of the margin for each case."""
        points, _ = self._pgd(self._attacked(cases), _goals(cases), None, restarts, steps)
        return [self.replay(case, point) for case, point in zip(cases, points, strict=True)]

    def attack_rows(self, cases: list[Case], *, restarts: int, steps: int) -> Decided:
        """One descent for each row that no bound has closed."""
        rows = [(n, r) for n, c in enumerate(cases) for r in (~c.proved).nonzero().flatten().tolist()]
        owners = torch.tensor([owner for owner, _ in rows])
        goals, targets = _goals(cases)[owners.numpy()], torch.tensor([row for _, row in rows])
        points, found = self._pgd(part_of(self._attacked(cases), owners), goals, targets, restarts, steps)
        best: dict[int, int] = {}
        for place, owner in enumerate(owners.tolist()):
            if owner not in best or found[place] < found[best[owner]]:
                best[owner] = place
        return [self.replay(case, points[best[owner]]) for owner, case in enumerate(cases)]

    def _pgd(
        self, region: Region, goals: np.ndarray, targets: torch.Tensor | None, restarts: int, steps: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`pgd` on as many inputs at a time as a pass may hold."""
        graph, size = self.network.graph, inputs_per_pass(self.network.graph, self.settings.memory)
        parts = []
        for first in range(0, len(goals), size):
            here = slice(first, first + size)
            part = part_of(region, here)
            aim = self.task.objective(goals[here], None if targets is None else targets[here])
            options: dict = {"steps": steps, "restarts": restarts, "generator": self._generator}
            parts.append(pgd(graph, self.network.single, part, aim, **options))
        points, margin = zip(*parts, strict=True)
        return torch.cat(points), torch.cat(margin)

    def replay(self, case: Case, point: torch.Tensor) -> Outcome | None:
        """Falsified where onnxruntime, given the point alone, does not keep the input's goal.

        The point is first moved into the ball and the range, exactly.
        """
        asked = self.settings
        box = attack_box(case.x, asked.eps, asked.low, asked.high)
        inside = drawn_in(point.detach().numpy(), case.x, asked.eps, asked.norm, box)
        if inside is None:
            return None
        margin = float(self.task.margins(self.network.scores(inside[None]), _goals([case]))[0])
        if not self.task.broken(margin):
            return None
        case.margin = finite(margin)
        return case.outcome(Verdict.FALSIFIED, "attack", inside)


def _goals(cases: list[Case]) -> np.ndarray:
    return np.stack([case.goal for case in cases])
