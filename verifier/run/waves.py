"""Which questions are worth deciding together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..engine.engine import Engine
from .question import Case

_DIRECTIONS = 16  # different rows that input splitting bounds for every box, whether it asks for them or not
_DOMAIN = 512  # numbers, of a clause's subdomain beside a slope and a multiplier for each neuron
_MOST = 128  # questions


def waves(cases: Sequence[Case], engine: Engine, memory: int) -> Iterator[list[Case]]:
    """The cases, a list of those that go together at a time: within `memory` bytes for what is kept of each, over boxes
    or over balls of one norm, and, for input splitting, with few different rows."""
    alike: dict[frozenset[bytes], list[Case]] = {}
    for case in cases:
        alike.setdefault(_directions(case), []).append(case)
    wave: list[Case] = []
    rows, size = frozenset[bytes](), _Size(engine)
    for own, part in alike.items():
        for case in part:
            larger = size.with_(case)
            many = len(rows | own) > max(_DIRECTIONS, len(rows), len(own)) or len(wave) == _MOST
            if wave and (many or larger.bytes > memory):
                yield wave
                wave, rows, larger = [], frozenset(), _Size(engine).with_(case)
            wave.append(case)
            rows, size = rows | own, larger
    if wave:
        yield wave


def _directions(case: Case) -> frozenset[bytes]:
    """The rows that input splitting would bound for every box."""
    if not case.few_inputs:
        return frozenset()
    flat = (np.unique(group.rows.reshape(-1, group.rows.shape[2]), axis=0) for group in case.groups)
    return frozenset(row.tobytes() for rows in flat for row in rows)


@dataclass(frozen=True)
class _Size:
    """What cases together ask of memory: clauses are written out as `padded` does, a group keeps the boxes of its
    neurons, a clause a slope and a multiplier for each."""

    engine: Engine
    groups: int = 0
    problems: int = 0
    clauses: int = 0
    rows: int = 0

    def with_(self, case: Case) -> "_Size":
        shapes = [group.rows.shape for group in case.groups]
        return _Size(
            self.engine,
            self.groups + len(shapes),
            self.problems + sum(shape[0] for shape in shapes),
            max([self.clauses, *(shape[0] for shape in shapes)]),
            max([self.rows, *(shape[1] for shape in shapes)]),
        )

    @property
    def bytes(self) -> int:
        inputs, neurons = self.engine.inputs, self.engine.neurons
        written = self.clauses * self.rows * (self.engine.outputs + 1)
        kept = self.groups * (2 * inputs + 2 * neurons + written) + self.problems * (_DOMAIN + neurons)
        return 8 * kept
