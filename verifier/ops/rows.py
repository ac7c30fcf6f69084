"""Back-substitution of many rows through any graph of convolutions, products, sparse maps and lines, compiled.

`RowsProgram.bounds` carries rows, side by side in a vector, from any value to the end value, each with lines of its
own or all of a box with the same, and may improve every row's lower slopes and split multipliers by gradient ascent
(c/rows.h). One program for all networks; bounds/rows.py says what the parts of a network are to it.
"""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import deadline
from . import compiled
from .plan import CORRELATE, Array, Op, Plan, Taps

_TEXT = '#define LANES {lanes}\n#define DOUBLE {double}\n#include "vector.h"\n#include "rows.h"\n'
_BLOCK, _SINGLE = 4, 8  # output channels at a time: over a map, over a single place


class Lining(NamedTuple):
    """A nonlinearity's lines [T, n] for every row, or [B, n] for every box where they are not `own`.

    lower: low · z + low_start, upper: up · z + up_start. own_low: low alone is [T, n]; or slope [T, m]: the rows' own
    of the entries live [m], in place of low. extra, sign [T, n]: a split's signed multiplier, and 1 or -1 where there
    is one. error [B, n]: taken off a bound for a coefficient of one that meets the lines, for rounding. An ascent
    changes low, where it is the rows' own, or slope, and extra.
    """

    low: Tensor
    low_start: Tensor | None
    up: Tensor
    up_start: Tensor
    own_low: bool = False
    own_up: bool = False
    extra: Tensor | None = None
    sign: Tensor | None = None
    slope: Tensor | None = None
    live: Tensor | None = None
    error: Tensor | None = None


class Job(NamedTuple):
    """T rows over the value `start`, to be bounded; all tensors in the program's dtype.

    neurons: flat numbers [T] and signs [T], rows v_i or -v_i; or rows [T, M, entries], offset [T, M], weights [T, M]:
    their weighted sum. linings: by number of the lines; None: no row meets these. box [T] int64: which lines and ends
    [B, n] a row goes by, equal ones best next to each other; None: the first, or all `own_end` centre, radius [T, n].
    look: also `met` and `corner`. flips: numbers of the lining and entry and signs [V, T] of a neuron that each
    further bound has split. error [B, entries]: as a lining's, of the start value.
    """

    start: int
    linings: Sequence[Lining | None]
    centre: Tensor
    radius: Tensor
    neurons: tuple[Tensor, Tensor] | None = None
    rows: tuple[Tensor, Tensor, Tensor] | None = None
    box: Tensor | None = None
    own_end: bool = False
    look: bool = False
    flips: tuple[Tensor, Tensor, Tensor] | None = None
    error: Tensor | None = None

    @property
    def size(self) -> int:
        given = self.neurons or self.rows
        return len(given[0]) if given else 0


class Found(NamedTuple):
    """bound [T] of the rows; met: for each nonlinearity the coefficients [T, n] that met its lines; corner [T, end]:
    where the bound is taken; low (or slope), extra, weights: after the ascent, where there was one; flipped [V, T]:
    with one more split each."""

    bound: Tensor
    met: list[Tensor]
    corner: Tensor | None
    low: list[Tensor]
    extra: list[Tensor]
    weights: Tensor | None
    flipped: Tensor | None


def _record(fields: str) -> Any:
    """A ctypes structure; in `fields` a name is a long, with * a pointer, with / a double, with = a structure's."""
    kinds = {"*": ctypes.c_void_p, "/": ctypes.c_double}
    pairs = [(name.rstrip("*/"), kinds.get(name[-1], ctypes.c_long)) for name in fields.split()]
    return type("Record", (ctypes.Structure,), {"_fields_": pairs})


_ValueRecord = _record("channels height width halo_y halo_x reach_y reach_x")
_PhaseRecord = _record("first_y first_x step_y step_x from_y from_x taps tap_y* tap_x* weight*")
_OpRecord = _record(
    "kind into out groups block_back block_forth backs forths back* forth* pairs to* source* factor* offsets offset*"
    " lines"
)
_PlanRecord = _record("values ops end value* op*")
_LinesRecord = _record(
    "low* low_start* up* up_start* own_low own_up extra* sign* live* split* lives splits slope* slot* error* met*"
)
_CallRecord = _record(
    "tiles start neuron* sign* terms rows* offset* weights* error* box* lines* centre* radius* own_end bound*"
    " corner* steps rate/ decay/ flips flip_lining* flip_entry* flip_sign* flip_bound* seconds/ scratch*"
)


class RowsProgram:
    """A plan and its weights in one dtype, ready for `bounds`. Use `rows_program`."""

    def __init__(self, library: ctypes.CDLL, plan: Plan, dtype: torch.dtype, lanes: int) -> None:
        self.dtype, self.lanes, self.plan = dtype, lanes, plan
        self._library, self._kept = library, list[Any]()
        self._real = np.float64 if dtype == torch.float64 else np.float32
        library.scratch_reals.restype = ctypes.c_long
        library.substitute.restype = ctypes.c_long
        values = (_ValueRecord * len(plan.values))(*((*v.shape, *v.halo, *v.reach) for v in plan.values))
        ops = (_OpRecord * max(1, len(plan.ops)))(*(self._op(op) for op in plan.ops))
        self._record = _PlanRecord(len(plan.values), len(plan.ops), 0, ctypes.addressof(values), ctypes.addressof(ops))
        self._kept += [values, ops]

    def _op(self, op: Op) -> tuple[Any, ...]:
        blocks, phases = [], []
        for taps, target in ((op.back, op.into), (op.forth, op.out)):
            channels, height, width = self.plan.values[target].shape
            block = 1 if channels // op.groups < _BLOCK else _SINGLE if height * width == 1 else _BLOCK
            if any(step != 1 for phase in taps for step in phase.step) and self._apart(taps, target):
                block = _SINGLE if channels // op.groups >= _SINGLE else block
            blocks.append(block)
            records = (_PhaseRecord * max(1, len(taps)))(*(self._phase(each, op.groups, block) for each in taps))
            self._kept.append(records)
            phases.append(ctypes.addressof(records))
        pairs = (None, None) if op.pairs is None else op.pairs
        places = [
            self._array(None if index is None else self.plan.values[of].places()[index], np.int64)
            for index, of in zip(pairs, (op.out, op.into), strict=True)
        ]
        count = 0 if pairs[0] is None else len(pairs[0])
        offsets = 0
        if op.offset is not None:
            offsets = 1 if op.kind == CORRELATE else 2
        return (
            op.kind, op.into, op.out, op.groups, *blocks, len(op.back), len(op.forth), *phases,
            count, *places, self._array(op.factor, self._real), offsets, self._array(op.offset, self._real), op.lines,
        )  # fmt: skip

    def _apart(self, taps: Sequence[Taps], target: int) -> bool:
        """Each phase writes a single place."""
        _, height, width = self.plan.values[target].shape
        return all(phase.step[0] >= height and phase.step[1] >= width for phase in taps)

    def _phase(self, phase: Taps, groups: int, block: int) -> tuple[Any, ...]:
        taps, outputs, inputs = phase.weight.shape
        each = outputs // groups
        blocks = -(-each // block)
        padded = np.zeros((taps, groups, blocks * block, inputs))
        padded[:, :, :each] = phase.weight.reshape(taps, groups, each, inputs)
        packed = padded.reshape(taps, groups, blocks, block, inputs).transpose(1, 2, 4, 0, 3)
        return (
            *phase.first, *phase.step, *phase.stride, taps,
            *(self._array(phase.tap[:, axis], np.int64) for axis in range(2)), self._array(packed, self._real),
        )  # fmt: skip

    def _array(self, value: Array | None, dtype: Any) -> int | None:
        if value is None:
            return None
        array = np.ascontiguousarray(value, dtype=dtype)
        self._kept.append(array)
        return int(array.ctypes.data)

    def bounds(self, job: Job, *, steps: int = 0, rate: float = 0.25, decay: float = 0.95) -> Found:
        """Lower bounds of the job's rows. steps: of ascent, that ends early where all are positive. Raises `OutOfTime`
        where the deadline comes first."""
        if job.size == 0:
            raise ValueError("rows are given as neurons or with coefficients, one at least")
        call = _Call(self, job)
        call.run(steps, rate, decay)
        return call.found(steps > 0)


class _Call:
    """The arguments of one call, in tiles, and what comes out."""

    def __init__(self, program: RowsProgram, job: Job) -> None:
        self.program, self.job = program, job
        self.lanes, self.dtype = program.lanes, program.dtype
        self.order, self.tiles = _tiles(job.size, job.box, self.lanes)
        self.plain = job.box is None  # in order, but for the last row again at the end
        self.neuron = self.sign = self.rows = self.offset = self.weights = None
        if job.neurons is not None:
            neuron, sign = job.neurons
            self.neuron, self.sign = neuron[self.order].contiguous(), sign[self.order].to(self.dtype).contiguous()
        elif job.rows is not None:
            self.rows, self.offset, self.weights = (self._tiled(part.to(self.dtype)) for part in job.rows)
        self.flips = None
        if job.flips is not None:
            lining, entry, side = (part.T for part in job.flips)
            self.flips = (self._tiled(lining), self._tiled(entry), self._tiled(side.to(self.dtype)))
        self.error = None if job.error is None else job.error.to(self.dtype).contiguous()
        self.terms = 0 if self.rows is None else self.rows.shape[1]
        first = self.order[:: self.lanes]
        self.box = torch.zeros(self.tiles, dtype=torch.int64) if job.box is None else job.box[first].contiguous()
        self.ends = [self._tiled(end) if job.own_end else end.contiguous() for end in (job.centre, job.radius)]
        self.linings = [None if lining is None else self._lining(lining) for lining in job.linings]
        self.met = [
            self._empty(size) if job.look and lining is not None else None
            for size, lining in zip(program.plan.linings, job.linings, strict=True)
        ]
        self.corner = self._empty(self.ends[0].shape[1]) if job.look else None
        self.bound = torch.empty(self.tiles, self.lanes, dtype=self.dtype)
        self.flipped = None if job.flips is None else self.bound.new_empty(self.tiles, len(job.flips[0]), self.lanes)

    def _empty(self, entries: int) -> Tensor:
        return torch.zeros(self.tiles, entries, self.lanes, dtype=self.dtype)

    def _tiled(self, value: Tensor) -> Tensor:
        """[T, ...] -> [tiles, ..., lanes], always a copy: the program writes into some."""
        spelled = value if self.plain and len(value) == len(self.order) else value[self.order]
        tiled = spelled.unflatten(0, (self.tiles, self.lanes)).movedim(1, -1).contiguous()
        return tiled.clone() if tiled.data_ptr() == value.data_ptr() else tiled

    def _untiled(self, value: Tensor) -> Tensor:
        count = self.job.size
        spelled = value.movedim(-1, 1).flatten(0, 1)
        if self.plain:
            return spelled[:count]
        return spelled.new_empty(count, *spelled.shape[1:]).index_copy(0, self.order, spelled)

    def _lining(self, lining: Lining) -> Lining:
        def given(value: Tensor | None, own: bool) -> Tensor | None:
            if value is None:
                return None
            return self._tiled(value.to(self.dtype)) if own else value.to(self.dtype).contiguous()

        low = given(lining.low, lining.own_low)
        up, up_start = given(lining.up, lining.own_up), given(lining.up_start, lining.own_up)
        if low is None or up is None or up_start is None:
            raise ValueError("lines without slopes")
        return lining._replace(
            low=low,
            low_start=given(lining.low_start, lining.own_up),
            up=up,
            up_start=up_start,
            extra=given(lining.extra, True),
            sign=given(lining.sign, True),
            slope=given(lining.slope, True),
            error=given(lining.error, False),
        )

    def run(self, steps: int, rate: float, decay: float) -> None:
        workers = max(1, min(torch.get_num_threads(), self.tiles))
        edges = [self.tiles * k // workers for k in range(workers + 1)]
        parts = [(edges[k], edges[k + 1]) for k in range(workers)]
        moving = [_moving(lining) if steps and lining is not None else ([], []) for lining in self.linings]
        self.kept = [torch.tensor(each, dtype=torch.int64) for pair in moving for each in pair]
        self.slots = [None if lining is None else _slots(lining) for lining in self.linings]
        ascent = steps, rate, decay, deadline.left()
        if len(parts) == 1:
            done = [self._part(parts[0], *ascent)]
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                done = list(pool.map(lambda part: self._part(part, *ascent), parts))
        if not all(done):
            raise deadline.OutOfTime

    def _part(self, part: tuple[int, int], steps: int, rate: float, decay: float, seconds: float) -> bool:
        """Whether it came to its end."""
        first, last = part

        def at(value: Tensor | None, own: bool = True) -> int | None:
            if value is None:
                return None
            return value.data_ptr() + (first * value.stride(0) * value.element_size() if own else 0)

        records = (_LinesRecord * max(1, len(self.linings)))()
        for number, lining in enumerate(self.linings):
            if lining is None:
                continue
            live, split = self.kept[2 * number : 2 * number + 2]
            live = live if lining.live is None else lining.live
            records[number] = _LinesRecord(
                at(lining.low, lining.own_low), at(lining.low_start, lining.own_up), at(lining.up, lining.own_up),
                at(lining.up_start, lining.own_up), int(lining.own_low), int(lining.own_up), at(lining.extra),
                at(lining.sign), at(live, False), at(split, False), len(live), len(split), at(lining.slope),
                at(self.slots[number], False), at(lining.error, False), at(self.met[number]),
            )  # fmt: skip
        neuron, sign = (None if v is None else v.unflatten(0, (-1, self.lanes)) for v in (self.neuron, self.sign))
        flips: tuple[Any, ...] = (0, None, None, None, None)
        if self.flips is not None and self.flipped is not None:
            flips = (self.flipped.shape[1], *(at(part) for part in (*self.flips, self.flipped)))
        call = _CallRecord(
            last - first, self.job.start, at(neuron), at(sign), self.terms, at(self.rows), at(self.offset),
            at(self.weights), at(self.error, False), at(self.box), ctypes.addressof(records),
            *(at(end, self.job.own_end) for end in self.ends), int(self.job.own_end), at(self.bound), at(self.corner),
            steps, rate, decay,
            *flips, seconds, None,
        )  # fmt: skip
        plan, library = ctypes.byref(self.program._record), self.program._library
        scratch = torch.empty(library.scratch_reals(plan, ctypes.byref(call)) + 64, dtype=self.dtype)
        call.scratch = scratch.data_ptr() + -scratch.data_ptr() % 64
        return bool(library.substitute(plan, ctypes.byref(call)))

    def found(self, moved: bool) -> Found:
        def untiled(value: Tensor | None) -> Tensor:
            return torch.empty(0) if value is None else self._untiled(value)

        own = [lining if moved and lining is not None else None for lining in self.linings]
        return Found(
            untiled(self.bound),
            [untiled(met) for met in self.met],
            None if self.corner is None else untiled(self.corner),
            [untiled(lining and (lining.low if lining.own_low else lining.slope)) for lining in own],
            [untiled(lining and lining.extra) for lining in own],
            None if self.weights is None else untiled(self.weights),
            None if self.flipped is None else untiled(self.flipped).T,
        )


def _tiles(count: int, box: Tensor | None, lanes: int) -> tuple[Tensor, int]:
    """Row numbers [tiles · lanes], the rows of a tile from one box, its last row repeated where it is not full."""
    counts = torch.tensor([count]) if box is None else torch.unique_consecutive(box, return_counts=True)[1]
    tiles = (counts + lanes - 1) // lanes
    last, first = counts.cumsum(0) - 1, tiles.cumsum(0) - tiles
    owner = torch.arange(len(counts)).repeat_interleave(tiles)
    start = (last + 1 - counts)[owner] + (torch.arange(len(owner)) - first[owner]) * lanes
    order = start.unsqueeze(1) + torch.arange(lanes)
    return torch.minimum(order, last[owner].unsqueeze(1)).flatten(), len(owner)


def _moving(lining: Lining) -> tuple[list[int], list[int]]:
    """Numbers of the neurons that some row may still move the lower slope of, and of those with a split."""
    live = lining.up_start > 0
    live = live.any(2).any(0) if lining.own_up else live.any(0)
    split = [] if lining.sign is None else (lining.sign != 0).any(2).any(0).nonzero().flatten().tolist()
    return (live.nonzero().flatten().tolist() if lining.own_low else []), split


def _slots(lining: Lining) -> Tensor | None:
    """Of each entry its place among the live ones, or -1."""
    if lining.live is None:
        return None
    slots = torch.full(lining.up.shape[1:2], -1)
    slots[lining.live] = torch.arange(len(lining.live))
    return slots


def rows_program(plan: Plan, dtype: torch.dtype) -> RowsProgram | None:
    """None where there is no compiler."""
    lanes = compiled.lanes(1 << 10, dtype.itemsize)
    library = compiled.library(_TEXT.format(lanes=lanes, double=int(dtype == torch.float64)))
    return None if library is None else RowsProgram(library, plan, dtype, lanes)
