"""The values of a subdomain as affine functions of the input and of the outputs of the ReLUs without a sign."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..engine.anchor import Anchor
from ..engine.engine import Engine
from ..engine.plan import Array
from ..engine.steps import Bend
from ..engine.substitution import substituted
from ..functions import Box, Lines

_COPIES = 4  # of rows over the widest value, that are alive together


class Neurons(NamedTuple):
    """Of one value, by number of the entry: whose sign a split fixed, these signs, and who is without one."""

    split: Array
    sign: Array
    free: Array


def neurons(whole: Box, box: Box) -> Neurons:
    """Unstable ones on the problem's box [n]; a split has cut one end of the subdomain's box [n]."""
    unstable = (whole.lower < 0) & (whole.upper > 0)
    fixed = (box.lower >= 0) | (box.upper <= 0)
    split = np.flatnonzero(unstable & fixed)
    return Neurons(split, np.where(box.lower[split] >= 0, 1.0, -1.0), np.flatnonzero(unstable & ~fixed))


class Pieces:
    """For boxes pre [n] of a network of ReLUs. A row [n + free + 1] over a value: its factors of the inputs and of the
    outputs y of ReLUs without a sign, counted through all values, and a constant."""

    def __init__(self, engine: Engine, pre: Mapping[str, Box], neurons: Mapping[str, Neurons], memory: int) -> None:
        """memory: bytes for rows on their way through the network."""
        self._engine, self._neurons = engine, neurons
        self.free = sum(len(each.free) for each in neurons.values())
        self.columns = engine.inputs + self.free + 1
        self._passes = {name: (box.lower >= 0).astype(np.float64) for name, box in pre.items()}
        nothing = {name: np.zeros((1, 1, len(slope))) for name, slope in self._passes.items()}
        self._lines = {
            name: Lines(slope[None, None], None, slope[None, None], nothing[name])
            for name, slope in self._passes.items()
        }
        zero = np.zeros((1, engine.inputs))
        self._zero = Anchor(Box(zero, zero))
        widest = max(engine.size(number) for number in range(len(engine.plan.values)))
        self._most = max(1, memory // (_COPIES * 8 * widest))

    def rows(self, number: int, rows: Array) -> Array:
        """Rows [R, entries] over the value number `number`."""
        parts = [self._carried(number, rows[first : first + self._most]) for first in range(0, len(rows), self._most)]
        return np.concatenate([np.zeros((0, self.columns)), *parts])

    def entries(self, number: int, index: Array) -> Array:
        """Entries of a value."""
        parts = []
        for first in range(0, len(index), self._most):
            some = index[first : first + self._most]
            picked = np.zeros((len(some), self._engine.size(number)))
            picked[np.arange(len(some)), some] = 1
            parts.append(self._carried(number, picked))
        return np.concatenate([np.zeros((0, self.columns)), *parts])

    def _carried(self, number: int, rows: Array) -> Array:
        found = substituted(self._engine, number, rows[None], self._lines, self._zero)
        # a neuron without a sign lets nothing pass: what met it is the factor of its output
        met = [
            found.met[name][0][:, each.free] if name in found.met else np.zeros((len(rows), len(each.free)))
            for name, each in self._neurons.items()
        ]
        return np.concatenate([found.coef[0], *met, found.value.T], 1)

    def outputs(self, name: str) -> Array:
        """The outputs of `name`'s ReLUs without a sign, as rows."""
        names, first = list(self._neurons), self._engine.inputs
        first += sum(len(self._neurons[each].free) for each in names[: names.index(name)])
        return np.eye(len(self._neurons[name].free), self.columns, first)

    def at(self, point: Array) -> dict[str, Array]:
        """The inputs z [n] of the ReLUs, by name, where the inputs and y are `point` [n + free]."""
        engine, first = self._engine, self._engine.inputs
        values, found = {0: point[None, :first]}, dict[str, Array]()
        for step in engine.steps:
            if not isinstance(step, Bend):
                values[step.out] = step.forward(*(values[number] for number in step.inputs))
                continue
            found[step.name] = values[step.into][0]
            through = values[step.into] * self._passes[step.name]
            free = self._neurons[step.name].free
            through[0, free] = point[first : first + len(free)]
            values[step.out], first = through, first + len(free)
        return found
