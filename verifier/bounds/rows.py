"""Bounds by the compiled program for rows (ops/rows.py): of neurons, and of specification rows by a dual."""

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import Box, Lines, Params
from ..ops.rows import Job, Lining, RowsProgram, rows_program
from .dual import Cuts, Dual, Look, held
from .errors import Errors
from .plan import PlanBuilder
from .specification import Spec
from .substitution import Anchor

_RATE = 0.25  # of a climb
_MOST_WEIGHTS = 1 << 24  # the program keeps them twice in each dtype
_MOST_ENTRIES = 1 << 21  # of all values together: each thread has a vector for every one of them, or two


class Rows(NamedTuple):
    """The program of a network above the value `end`; number of each value, lining of each nonlinearity's input."""

    program: RowsProgram
    number: Mapping[str, int]
    lining: Mapping[str, int]
    end: str
    output: str

    def linings(self, lines: Mapping[str, Lines], errors: Errors | None = None) -> list[Lining | None]:
        """Lines [B, 1, *v] that all rows of a box share; None for a nonlinearity without."""
        found: list[Lining | None] = [None] * len(self.lining)
        for name, place in self.lining.items():
            if name in lines:
                low, start, up, up_start = lines[name]
                start = None if start is None else start.flatten(1)
                error = None if errors is None else errors.lining[name].flatten(1)
                found[place] = Lining(low.flatten(1), start, up.flatten(1), up_start.flatten(1), error=error)
        return found

    def neighbours(self, name: str, neuron: Tensor, box: Tensor | int = 0) -> Tensor:
        """The order [n] that puts entries of the value `name` side by side which see much the same of those below."""
        _, height, width = self.program.plan.values[self.number[name]].shape
        return (box * (height * width) + neuron % (height * width)).argsort(stable=True)

    def neuron_bounds(
        self,
        name: str,
        box: Tensor,
        neuron: Tensor,
        sign: Tensor,
        lines: Mapping[str, Lines],
        base: Anchor,
        errors: Errors | None = None,
    ) -> Tensor:
        """Lower bounds [n] of sign · v, for entries neuron [n] (flat) of the value `name` in boxes number box [n]; less
        what rounding may have added, where `errors` are given."""
        order = self.neighbours(name, neuron, box)
        error = None if errors is None else errors.own[name].flatten(1)
        job = Job(
            self.number[name], self.linings(lines, errors), *self.ends(base), neurons=(neuron[order], sign[order]),
            box=box[order], error=error,
        )  # fmt: skip
        found = self.program.bounds(job)
        return found.bound.new_empty(len(order)).index_copy_(0, order, found.bound)

    def climbed(
        self,
        name: str,
        neuron: Tensor,
        sign: Tensor,
        lines: Mapping[str, Lines],
        base: Anchor,
        live: Mapping[str, Tensor],
        *,
        slopes: Mapping[str, Tensor] | None = None,
        steps: int = 0,
        errors: Errors | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Lower bounds [n] of sign · v in the one box of `base`, every row with lower slopes of its own for the entries
        live [m]: `slopes` [n, m], or those of `lines` after so many steps of ascent, which come with it. errors: as in
        `neuron_bounds`."""
        count, own = len(neuron), self.linings(lines, errors)
        for each, place in self.lining.items():
            lining = own[place]
            if lining is not None:
                start = lining.low[0, live[each]].expand(count, -1) if slopes is None else slopes[each]
                own[place] = lining._replace(slope=start, live=live[each])
        error = None if errors is None else errors.own[name].flatten(1)
        job = Job(self.number[name], own, *self.ends(base), neurons=(neuron, sign), error=error)
        found = self.program.bounds(job, steps=steps, rate=_RATE)
        return found.bound, {each: found.low[place] for each, place in self.lining.items() if own[place] is not None}

    def ends(self, base: Anchor) -> tuple[Tensor, Tensor]:
        return base.centres[self.end].flatten(1), base.boxed[self.end].flatten(1)

    def dual(
        self,
        spec: Spec,
        pre: Mapping[str, Box],
        lines: Mapping[str, Lines],
        dual: Dual,
        cuts: Mapping[str, Cuts] | None,
        base: Anchor,
        *,
        look: bool = False,
        steps: int = 0,
        rate: float = 0.0,
        decay: float = 1.0,
        neurons: Tensor | None = None,
    ) -> "DualBounds":
        """The bound of specification rows, lines [B, M|1, *v] by the slopes of `dual`, after `steps` of ascent.

        Cuts are at 0: what a multiplier may move is the side that is cut, where it costs nothing.
        neurons [B, V]: counted through all of `lines` in its order, for the bounds of both sides of each one's split.
        """
        boxes = len(base.boxed[self.end])
        given, offset = (part.expand(boxes, *part.shape[1:]) for part in spec)
        weights = dual.weights
        if weights is None:  # every row by itself
            rows = given.shape[1]
            given, offset = given.flatten(0, 1).unsqueeze(1), offset.flatten(0, 1).unsqueeze(1)
            weights = torch.ones_like(offset)
        else:
            rows = 1
        names = sorted(self.lining, key=lambda name: self.lining[name])
        linings = [
            self._own(lines[name], boxes, rows, dual.multipliers[name], None if cuts is None else cuts[name])
            for name in names
        ]
        centre, radius = (end.repeat_interleave(rows, 0) for end in self.ends(base))
        flips = None if neurons is None else self._flips(lines, neurons)
        job = Job(
            self.number[self.output], linings, centre, radius, rows=(given, offset, weights), own_end=True, look=look,
            flips=flips,
        )  # fmt: skip
        found = self.program.bounds(job, steps=steps, rate=rate, decay=decay)

        def shaped(values: list[Tensor]) -> dict[str, Tensor]:
            shapes = {name: lines[name].upper_slope.shape[2:] for name in names}
            return {n: value.reshape(boxes, rows, *shapes[n]) for n, value in zip(names, values, strict=True)}

        best = dual
        if steps:
            multipliers = dual.multipliers if cuts is None else shaped(found.extra)
            weights = None if dual.weights is None else found.weights
            best = Dual(shaped(found.low), multipliers, weights)
        shown = None
        if found.corner is not None:
            corner = found.corner.reshape(boxes, rows, *base.boxed[self.end].shape[1:])
            shown = Look(shaped(found.met), corner)
        bound = found.bound.reshape(boxes, rows)
        sides = None if found.flipped is None else found.flipped.T.unflatten(1, (-1, 2))
        for name, cut in (cuts or {}).items():
            kept = held(best.multipliers[name], pre[name], cut)
            bound, sides = bound - kept, None if sides is None else sides - kept.unsqueeze(2)
        return DualBounds(bound, best, shown, sides)

    def _flips(self, lines: Mapping[str, Lines], neurons: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lining, entry and sign of the neurons [B, V], each [2 V, B]: of both sides."""
        widths = torch.tensor([line.upper_slope[0].numel() for line in lines.values()])
        ends = widths.cumsum(0)
        which = torch.bucketize(neurons.clamp(min=0), ends, right=True)
        lining = torch.tensor([self.lining[name] for name in lines])[which]
        entry = neurons.clamp(min=0) - (ends - widths)[which]
        sign = torch.tensor([1.0, -1.0]).repeat(neurons.shape[1]).unsqueeze(1).expand(-1, len(neurons))
        return lining.T.repeat_interleave(2, 0), entry.T.repeat_interleave(2, 0), sign

    @staticmethod
    def _own(lines: Lines, boxes: int, rows: int, multipliers: Tensor, cuts: Cuts | None) -> Lining:
        """Every row's own lines [B · rows, n]."""

        def spelled(value: Tensor) -> Tensor:
            return value.expand(boxes, rows, *value.shape[2:]).reshape(boxes * rows, -1)

        low, low_start, up, up_start = lines
        sign = extra = None
        if cuts is not None:
            sign = spelled((cuts.lower.to(low.dtype) - cuts.upper.to(low.dtype)).unsqueeze(1))
            extra = spelled(multipliers)
        start = None if low_start is None else spelled(low_start)
        return Lining(spelled(low), start, spelled(up), spelled(up_start), True, True, extra, sign)


class DualBounds(NamedTuple):
    """bound [B, M], the slopes and multipliers that gave it, and where that was asked for how it came about and the
    bounds [B, V, 2] of the sides of splits."""

    bound: Tensor
    dual: Dual
    look: Look | None
    sides: Tensor | None = None

    def shown(self) -> Look:
        if self.look is None:
            raise ValueError("the bound was taken without a look at it")
        return self.look


class _Same:
    """A key that is equal to itself alone, and keeps what it stands for alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def rows_of(graph: Graph, params: Params, end: str) -> Rows | None:
    """The program for rows that end at the value `end`, in the dtype of `params`; None without a compiler, away from
    the CPU, for networks that would take too much memory, and with an operator that the program does not know."""
    return _rows_of(_Same(graph), _Same(params), end)


@lru_cache(maxsize=64)
def _rows_of(graph: _Same, params: _Same, end: str) -> Rows | None:
    like = next(iter(params.value.values()), None)
    if like is None or like.device.type != "cpu":
        return None
    weights = sum(value.numel() for value in params.value.values())
    if weights > _MOST_WEIGHTS or sum(prod(shape) for shape in graph.value.shapes.values()) > _MOST_ENTRIES:
        return None
    builder = PlanBuilder(graph.value, params.value, end)
    if not builder.complete or not builder.lining:
        return None
    program = rows_program(builder.plan, like.dtype)
    return None if program is None else Rows(program, builder.number, builder.lining, end, graph.value.output)
