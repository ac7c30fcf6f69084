"""One call of the compiled program for rows: a job's arrays in tiles, its addresses, and what comes out."""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from .. import deadline
from .compiled import Program
from .job import Found, Job, Lining
from .packed import PackedPlan, record
from .plan import Array
from .threads import threads
from .tiles import Tiles, aligned, converted

_LinesRecord = record(
    "low* low_start* up* up_start* own_low own_up extra* sign* live* split* lives splits slope* slot* error* met*"
)
_CallRecord = record(
    "tiles start neuron* sign* terms rows* offset* weights* error* box* lines* centre* radius* own_end bound*"
    " corner* steps rate/ decay/ flips flip_lining* flip_entry* flip_sign* flip_bound* seconds/ scratch*"
)


class Ascent(NamedTuple):
    """So many steps; see c/rows.h."""

    steps: int
    rate: float
    decay: float


class Call:
    """`linings` as the program reads and moves them; `bound`, `met`, `corner`, `flipped` as it leaves them."""

    def __init__(self, job: Job, sizes: list[int], program: Program, dtype: np.dtype) -> None:
        """sizes: entries of every nonlinearity."""
        self.job, self._dtype, self._library = job, dtype, program.library
        self.tiles = tiles = Tiles(job.size, job.box, program, dtype)
        self._neuron = self._sign = self._rows = self._offset = self._weights = None
        if job.neurons is not None:
            self._neuron, self._sign = job.neurons[0][tiles.order], tiles.tiled(job.neurons[1])
        elif job.rows is not None:
            self._rows, self._offset, self._weights = map(tiles.tiled, job.rows)
        self._flips: tuple[Array, ...] = ()
        if job.flips is not None:
            lining, entry, side = (part.T for part in job.flips)
            places = (part[tiles.order].swapaxes(1, 2).astype(np.int64, order="C") for part in (lining, entry))
            self._flips = (*places, tiles.tiled(side), tiles.empty(len(job.flips[0])))
        self._error = self._shared(job.error)
        ends = (job.centre, job.radius)
        self._ends = [tiles.tiled(end) if job.own_end else self._shared(end) for end in ends]
        self.linings = [None if lining is None else self._lining(lining) for lining in job.linings]
        self._met = [
            None if lining is None or not job.look else self._zeros(size)
            for size, lining in zip(sizes, job.linings, strict=True)
        ]
        self._corner = self._zeros(job.centre.shape[1]) if job.look else None
        self._bound = tiles.empty()
        self._slots = [None if lining is None else _slots(lining) for lining in self.linings]

    def _shared(self, value: Array | None) -> Array | None:
        return None if value is None else converted(value, self._dtype)

    def _zeros(self, size: int) -> Array:
        found = self.tiles.empty(size)
        found[:] = 0
        return found

    def _lining(self, lining: Lining) -> Lining:
        def given(value: Array | None, own: bool) -> Any:
            return self._shared(value) if value is None or not own else self.tiles.tiled(value)

        return Lining(
            given(lining.low, lining.own_low),
            given(lining.low_start, lining.own_up),
            given(lining.up, lining.own_up),
            given(lining.up_start, lining.own_up),
            lining.own_low,
            lining.own_up,
            given(lining.extra, True),
            given(lining.sign, True),
            given(lining.slope, True),
            None if lining.live is None else np.ascontiguousarray(lining.live, np.int64),
            given(lining.error, False),
        )

    def run(self, plan: PackedPlan, ascent: Ascent) -> None:
        """Raises `OutOfTime` where the deadline comes first."""
        workers = max(1, min(threads(), self.tiles.count))
        edges = [self.tiles.count * k // workers for k in range(workers + 1)]
        moving = [_moving(lining) if ascent.steps and lining else (_NONE, _NONE) for lining in self.linings]
        seconds = deadline.left()

        def part(k: int) -> bool:
            lines = self._lines(edges[k], moving)
            call = self._record(edges[k], edges[k + 1], lines, ascent, seconds)
            numbers = ctypes.byref(plan.record), ctypes.byref(call)
            scratch = aligned((self._library.scratch_reals(*numbers),), self._dtype)
            call.scratch = scratch.ctypes.data
            return bool(self._library.substitute(*numbers))

        if workers == 1:
            done = [part(0)]
        else:
            with ThreadPoolExecutor(workers) as pool:
                done = list(pool.map(part, range(workers)))
        if not all(done):
            raise deadline.OutOfTime

    def _lines(self, first: int, moving: list[tuple[Array, Array]]) -> Any:
        """Of the tiles from `first` on."""
        records = (_LinesRecord * max(1, len(self.linings)))()
        for number, lining in enumerate(self.linings):
            if lining is None:
                continue
            live, split = moving[number]
            live = live if lining.live is None else lining.live
            low, up = first if lining.own_low else 0, first if lining.own_up else 0
            records[number] = _LinesRecord(
                _at(lining.low, low), _at(lining.low_start, up), _at(lining.up, up), _at(lining.up_start, up),
                int(lining.own_low), int(lining.own_up), _at(lining.extra, first), _at(lining.sign, first),
                _at(live), _at(split), len(live), len(split), _at(lining.slope, first), _at(self._slots[number]),
                _at(lining.error), _at(self._met[number], first),
            )  # fmt: skip
        return records

    def _record(self, first: int, last: int, lines: Any, ascent: Ascent, seconds: float) -> Any:
        terms = 0 if self._rows is None else self._rows.shape[1]
        flips = [_at(part, first) for part in self._flips] or [None] * 4
        return _CallRecord(
            last - first, self.job.start, _at(self._neuron, first), _at(self._sign, first), terms,
            _at(self._rows, first), _at(self._offset, first), _at(self._weights, first), _at(self._error),
            _at(self.tiles.box, first), ctypes.addressof(lines),
            *(_at(end, first if self.job.own_end else 0) for end in self._ends), int(self.job.own_end),
            _at(self._bound, first), _at(self._corner, first), *ascent,
            self._flips[0].shape[1] if self._flips else 0, *flips, seconds, None,
        )  # fmt: skip

    def found(self, moved: bool) -> Found:
        """moved: after an ascent."""

        def untiled(value: Array | None) -> Array:
            return np.empty(0, self._dtype) if value is None else self.tiles.untiled(value)

        own = [lining if moved else None for lining in self.linings]
        return Found(
            untiled(self._bound),
            [untiled(met) for met in self._met],
            None if self._corner is None else untiled(self._corner),
            [untiled(lining and (lining.low if lining.own_low else lining.slope)) for lining in own],
            [untiled(lining and lining.extra) for lining in own],
            None if self._weights is None else untiled(self._weights),
            untiled(self._flips[3]).T if self._flips else None,
        )


_NONE = np.empty(0, np.int64)


def _at(value: Array | None, first: int = 0) -> int | None:
    """The address of what belongs to the tiles from `first` on."""
    return None if value is None else int(value.ctypes.data) + first * value.strides[0]


def _moving(lining: Lining) -> tuple[Array, Array]:
    """Numbers of the neurons that some row may still move the lower slope of, and of those with a split."""
    axes = (0, 2)
    live = _NONE
    if lining.own_low:
        live = np.flatnonzero((lining.up_start > 0).any(axes if lining.own_up else 0))
    return live, _NONE if lining.sign is None else np.flatnonzero((lining.sign != 0).any(axes))


def _slots(lining: Lining) -> Array | None:
    """Of each entry its place among the live ones, or -1."""
    if lining.live is None:
        return None
    slots = np.full(lining.up.shape[1], -1)
    slots[lining.live] = np.arange(len(lining.live))
    return slots
