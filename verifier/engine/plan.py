"""A network as the engine sees it: values with room around them, and what leads from one
to another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

CORRELATE, COPY, PAIRS, LINES = range(4)  # `enum kind` of c/rows.h

Array = NDArray[Any]


class Taps(NamedTuple):
    """One phase of a correlation: to[o, q · step + first] += sum of weight[t, o, i] · from[i, q · stride + tap[t]].

    tap [T, 2]; weight [T, out, in of its group]; all pairs are (vertical, horizontal).
    """

    first: tuple[int, int]
    step: tuple[int, int]
    stride: tuple[int, int]
    tap: Array
    weight: Array


@dataclass
class Value:
    shape: Shape
    halo: list[int] = field(default_factory=lambda: [0, 0])
    reach: list[int] = field(default_factory=lambda: [0, 0])

    def places(self) -> Array:
        """Of every entry, where it lies in the map with its halo."""
        channels, height, width = self.shape
        (hy, hx), pitch = self.halo, self.shape[2] + 2 * self.halo[1]
        c, y, x = np.ogrid[:channels, :height, :width]
        return np.asarray(c * ((height + 2 * hy) * pitch) + (y + hy) * pitch + x + hx).ravel()


class Op(NamedTuple):
    kind: int
    into: int
    out: int
    groups: int = 1
    back: Sequence[Taps] = ()
    forth: Sequence[Taps] = ()
    pairs: tuple[Array, Array] | None = None  # entries of the output and of the input
    factor: Array | None = None
    offset: Array | None = None  # per channel, or per entry
    lines: int = 0


class Plan:
    """A network as the program sees it: values [C, H, W] by number, and what leads from one to another.

    Built from the end value (number 0) on, in order; `RowsProgram` takes it when it is complete.
    """

    def __init__(self, end: Shape) -> None:
        self.values, self.ops, self.linings = [Value(end)], list[Op](), list[int]()

    def value(self, shape: Shape) -> int:
        self.values.append(Value(shape))
        return len(self.values) - 1

    def correlate(
        self, into: int, out: int, groups: int, back: Sequence[Taps], forth: Sequence[Taps], offset: Array | None
    ) -> None:
        """back: from coefficients of `out` to those of `into`; forth: from values of `into` to those of `out`."""
        for phases, source, target in ((back, out, into), (forth, into, out)):
            value = self.values[source]
            for phase in phases:
                for axis in range(2):
                    extent, low, high = value.shape[1 + axis], phase.tap[:, axis].min(), phase.tap[:, axis].max()
                    last = (self.values[target].shape[1 + axis] - 1 - phase.first[axis]) // phase.step[axis]
                    beyond = max(0, -int(low), int(last * phase.stride[axis] + high) - (extent - 1))
                    value.halo[axis] = max(value.halo[axis], beyond)
                    if phases is back:
                        value.reach[axis] = max(value.reach[axis], int(high - low) + 1 + abs(int(low)) + abs(int(high)))
        self.ops.append(Op(CORRELATE, into, out, groups, back, forth, offset=offset))

    def copy(self, into: int, out: int, factor: float, offset: Array | None = None) -> None:
        self.ops.append(Op(COPY, into, out, factor=np.array([factor]), offset=offset))

    def pairs(self, into: int, out: int, to: Array, source: Array, factor: Array, offset: Array | None = None) -> None:
        """out[to] += factor · into[source], entries counted row by row; offset of every entry of `out`."""
        self.ops.append(Op(PAIRS, into, out, pairs=(to, source), factor=factor, offset=offset))

    def lines(self, into: int, out: int) -> int:
        """A nonlinearity; returns the number of its lines."""
        self.ops.append(Op(LINES, into, out, lines=len(self.linings)))
        self.linings.append(int(np.prod(self.values[out].shape)))
        return len(self.linings) - 1
