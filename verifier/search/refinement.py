"""When the boxes of an input's neurons are made tighter, and how far: in stages, each of several times the work.

    slopes of each neuron's own (`refine`)  ->  branch and bound on each neuron, of 3, 12, 48, … subdomains (`neurons`)

A stage is begun once the search over the input's own problems has cost as much as the stage will, so that whichever is
the better way, the other at most doubles the time. Costs are those of `cost`, not the clock's.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from ..engine.engine import Engine
from ..engine.plan import Array
from ..functions import Box
from .cost import subdomain_seconds
from .neurons import tightened
from .problem import Problem
from .refine import below, refined

_STEPS = 8  # of the first stage's ascent
_CLIMB = 0.2  # of a subdomain's cost, for one end of a neuron in the first stage
_VISITS, _GROWTH = 3, 4
WORTH = 0.05  # the gain from which on the search begins anew
_USED = 0.3  # of the subdomains reckoned with: one end often settles the other, the last are not split
_GOOD = 0.05, 0.15  # the gain, of the first stage and of others, that makes the next one worth its cost
_PATIENCE = 1000.0  # how many times dearer it is at most after a stage that gained less


@dataclass
class Due:
    """Of one input: the next stage, the search's work since the last one, and how much that had to be."""

    stage: int = 0
    spent: float = 0.0
    patience: float = 1.0
    price: float | None = None


class Refiner:
    """Stages for the problems of one network."""

    def __init__(self, engine: Engine, memory: int) -> None:
        self._engine, self._memory = engine, memory
        self._parts: dict[str, Engine] = {}
        self._seconds = {  # of a subdomain of the part that computes the value
            name: subdomain_seconds(work) for name, (bends, work) in below(engine).items() if bends
        }

    def price(self, stage: int, pre: Mapping[str, Box]) -> float:
        """The seconds of a stage; infinite where it has nothing to do, as of smooth functions all but the first."""
        if stage > 0 and not self._engine.piecewise_linear:
            return inf
        ends = sum(2 * len(self._unstable(name, pre[name])) * each for name, each in self._seconds.items())
        return (_CLIMB if stage == 0 else _USED * _visits(stage)) * ends or inf

    def boxes(self, stage: int, problem: Problem) -> Generator[int, None, dict[str, Box]]:
        """Boxes within those of the problem, layer by layer. Yields after each round how many subdomains it bounded."""
        if stage == 0:
            return (yield from self._climbed(problem))
        found = dict(problem.pre)
        for name in self._seconds:
            neurons = self._unstable(name, found[name])
            if len(neurons):
                found[name] = yield from tightened(
                    self._part(name), problem, found, found[name], neurons, visits=_visits(stage), memory=self._memory
                )
        return found

    def gain(self, before: Mapping[str, Box], after: Mapping[str, Box]) -> float:
        """The part of the unstable neurons' widths that is gone, as a mean over the values with any."""
        gone = []
        for name in self._seconds:
            was, now = (self._width(name, boxes[name]) for boxes in (before, after))
            if was > 0:
                gone.append(1 - now / was)
        return sum(gone) / max(1, len(gone))

    def _part(self, name: str) -> Engine:
        if name not in self._parts:
            self._parts[name] = self._engine.upto(name)
        return self._parts[name]

    def _climbed(self, problem: Problem) -> Generator[int, None, dict[str, Box]]:
        found = yield from refined(self._engine, *problem.region(), steps=_STEPS, memory=self._memory)
        return {name: Box(*(end[0] for end in own)) for name, own in found.items()}

    def _unstable(self, name: str, box: Box) -> Array:
        return np.flatnonzero(self._engine.bends[name].function.unstable(box))

    def _width(self, name: str, box: Box) -> float:
        return float((box.upper - box.lower)[self._unstable(name, box)].sum())


def after(due: Due, gain: float) -> Due:
    """Where an input stands once a stage is done: the less that gained, the later comes the next."""
    short = _GOOD[due.stage > 0] / max(gain, 1e-9)
    return Due(due.stage + 1, patience=min(_PATIENCE, max(1.0, short**2)))


def _visits(stage: int) -> int:
    return _VISITS * _GROWTH ** (stage - 1)
