"""The steps of verification, each over many inputs together: prediction, IBP, DeepPoly, attack.

A stage returns one entry per case: the outcome where it decides, None where the case stays open. A bound proves a row
only where it exceeds what may have rounded in it; NaN never does.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from math import inf

import numpy as np
import torch

from . import deadline
from .bounds import Bounds, Box, Spec
from .bounds.affine_images import with_affine_images
from .bounds.ball import CutBall
from .bounds.errors import Errors, analysed
from .bounds.ibp import ibp
from .bounds.substitution import anchor, relax, spec_bound
from .case import Case, finite
from .errors import memory_missing
from .ops import evaluate
from .outcome import Outcome, Verdict
from .search.attack import Region, part_of, pgd
from .search.boxes import attack_ball, attack_box, drawn_in, fed, proof_ball, proof_box
from .search.confirm import surely_broken
from .search.intermediate import unstable_preactivations
from .search.memory import inputs_per_pass, rows_at_once
from .search.proof import closer
from .settings import Settings
from .task import Task

Decided = list[Outcome | None]

RESTARTS, STEPS = 5, 50  # of the longer attack


def through(
    cases: list[Case], stage: Callable[[list[Case]], Decided], timeout: float = inf
) -> Generator[Outcome, None, list[Case]]:
    """Runs a stage on all cases; yields what it decides, returns what stays open. Its time is shared out evenly; a case
    that has then had more than `timeout` seconds is unknown, and so is every one where the stage does not end in time
    or within the machine's memory.
    """
    if not cases:
        return []
    began, late = time.perf_counter(), f"timeout after {timeout:g} s"
    decided: Decided | None = None
    try:
        with deadline.within(sum(max(0.0, timeout - case.seconds) for case in cases)):
            decided = stage(cases)
    except deadline.OutOfTime:
        unfinished = late
    except (MemoryError, RuntimeError) as error:
        missing = memory_missing(error)
        if missing is None:
            raise
        unfinished = f"a step takes {missing}"
    share = (time.perf_counter() - began) / len(cases)
    rest = []
    for case, outcome in zip(cases, decided or [None] * len(cases), strict=True):
        case.seconds += share
        if outcome is None and (decided is None or case.seconds > timeout):
            outcome = case.outcome(Verdict.UNKNOWN, unfinished if decided is None else late)
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
        box = proof_box(x, asked.eps, asked.low, asked.high, self.network.runtime.dtype)
        return box, proof_ball(x, asked.eps, asked.norm, box, self._attack_box(x))

    def spec(self, cases: list[Case]) -> Spec:
        return self.task.spec(_goals(cases))

    def predict(self, cases: list[Case]) -> Decided:
        """Misclassified: the prediction is not the label's, which NaN among the scores rules out too."""
        x = np.stack([c.x for c in cases])
        scores, labels = self.network.scores(fed(x, self._attack_box(x))), [c.label for c in cases]
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
        memory, errors = self.settings.memory, Errors(graph, params, base)
        pre = unstable_preactivations(graph, params, base, errors, memory=memory, stop=deadline.over)
        spec, lines = self.spec(cases), relax(graph, pre)
        size = rows_at_once(graph, len(cases), memory)
        parts = [Spec(*part) for part in zip(*(own.split(size, dim=1) for own in spec), strict=True)]
        lower = torch.cat([spec_bound(graph, params, base, part, lines) for part in parts], 1)
        needed = closer(graph, params, base, spec, pre, errors, lower, memory=memory)
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

    def exactly(self, cases: list[Case]) -> Decided:
        """Where a runtime is fed other numbers than the given ones, and only with those the label wins, no bound can
        prove it: a longer attack, else unknown."""
        x = np.stack([c.x for c in cases]).astype(np.float64)
        changed = (fed(x, self._attack_box(x)) != x).reshape(len(x), -1).any(1).nonzero()[0].tolist()
        outcomes: Decided = [None] * len(cases)
        if not changed:
            return outcomes
        spec = self.spec([cases[place] for place in changed])
        scores = evaluate(self.network.graph, self.network.exact, torch.from_numpy(x[changed]))
        least = ((spec.rows * scores[:, None]).sum(-1) + spec.offset).amin(1)
        lost = [place for place, margin in zip(changed, least.tolist(), strict=True) if margin <= 0]
        found = self.attack_rows([cases[place] for place in lost], restarts=RESTARTS, steps=STEPS) if lost else []
        why = "the label wins only at the nearest float32 numbers, which onnxruntime is fed, not at the input"
        for place, outcome in zip(lost, found, strict=True):
            outcomes[place] = outcome or cases[place].outcome(Verdict.UNKNOWN, why)
        return outcomes

    def _attack_box(self, x: np.ndarray) -> Box:
        return attack_box(x, self.settings.eps, self.settings.low, self.settings.high, self.network.runtime.dtype)

    def _attacked(self, cases: list[Case]) -> Region:
        x, asked = np.stack([c.x for c in cases]), self.settings
        box = self._attack_box(x)
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
        graph, network = self.network.graph, self.network
        params = network.single if network.runtime.dtype == np.float32 else network.exact
        size = inputs_per_pass(graph, params, self.settings.memory)
        parts = []
        for first in range(0, len(goals), size):
            here = slice(first, first + size)
            part = part_of(region, here)
            aim = self.task.objective(goals[here], None if targets is None else targets[here])
            options: dict = {"steps": steps, "restarts": restarts, "generator": self._generator}
            parts.append(pgd(graph, params, part, aim, **options))
        points, margin = zip(*parts, strict=True)
        return torch.cat(points), torch.cat(margin)

    def replay(self, case: Case, point: torch.Tensor) -> Outcome | None:
        """Falsified where onnxruntime, given the point alone, does not keep the input's goal.

        The point is first moved into the ball and the range, exactly.
        """
        asked = self.settings
        box = self._attack_box(case.x)
        inside = drawn_in(point.detach().numpy(), case.x, asked.eps, asked.norm, box)
        if inside is None:
            return None
        margin = float(self.task.margins(self.network.scores(inside[None]), _goals([case]))[0])
        if not self.task.broken(margin) or not self._holds_in_the_ball(case, inside):
            return None
        case.margin = finite(margin)
        return case.outcome(Verdict.FALSIFIED, "attack", inside)

    def _holds_in_the_ball(self, case: Case, point: np.ndarray) -> bool:
        """Where a runtime is fed numbers from outside of the ball, which holds none of its own, the nearest point of it
        has to break the goal as well, whatever rounded."""
        x, asked = case.x.astype(np.float64), self.settings
        lower, upper = np.maximum(x - asked.eps, asked.low), np.minimum(x + asked.eps, asked.high)
        inside = np.clip(point.astype(np.float64), lower, upper)
        if np.array_equal(inside, point):
            return True
        rows, offset = (part[0] for part in self.task.spec(_goals([case])))
        graph, params = self.network.graph, self.network.exact
        return bool(surely_broken(graph, params, torch.from_numpy(inside), rows, offset).any())


def _goals(cases: list[Case]) -> np.ndarray:
    return np.stack([case.goal for case in cases])
