"""A plan as `struct plan` of c/rows.h: its weights packed for the blocks of channels that a loop takes at a time."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from .plan import CORRELATE, Array, Op, Plan, Taps

_BLOCK, _SINGLE = 4, 8  # output channels at a time: over a map, over a single place


def record(fields: str) -> Any:
    """A ctypes structure; in `fields` a name is a long, with * a pointer, with / a double."""
    kinds = {"*": ctypes.c_void_p, "/": ctypes.c_double}
    pairs = [(name.rstrip("*/"), kinds.get(name[-1], ctypes.c_long)) for name in fields.split()]
    return type("Record", (ctypes.Structure,), {"_fields_": pairs})


_ValueRecord = record("channels height width halo_y halo_x reach_y reach_x")
_PhaseRecord = record("first_y first_x step_y step_x from_y from_x taps tap_y* tap_x* weight*")
_OpRecord = record(
    "kind into out groups block_back block_forth backs forths back* forth* pairs to* source* factor* offsets offset*"
    " lines"
)
_PlanRecord = record("values ops end value* op*")


class PackedPlan:
    """record: the structure, whose numbers are copies that live as long as this."""

    def __init__(self, plan: Plan, dtype: np.dtype) -> None:
        self._plan, self._real, self._kept = plan, dtype, list[Any]()
        values = (_ValueRecord * len(plan.values))(*((*v.shape, *v.halo, *v.reach) for v in plan.values))
        ops = (_OpRecord * max(1, len(plan.ops)))(*(self._op(op) for op in plan.ops))
        self.record = _PlanRecord(len(plan.values), len(plan.ops), 0, ctypes.addressof(values), ctypes.addressof(ops))
        self._kept += [values, ops]

    def _op(self, op: Op) -> tuple[Any, ...]:
        blocks, phases = [], []
        for taps, target in ((op.back, op.into), (op.forth, op.out)):
            blocks.append(self._block(op, taps, target))
            records = (_PhaseRecord * max(1, len(taps)))(*(self._phase(each, op.groups, blocks[-1]) for each in taps))
            self._kept.append(records)
            phases.append(ctypes.addressof(records))
        pairs = (None, None) if op.pairs is None else op.pairs
        places = [
            self._array(None if index is None else self._plan.values[of].places()[index], np.int64)
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

    def _block(self, op: Op, taps: Sequence[Taps], target: int) -> int:
        channels, height, width = self._plan.values[target].shape
        each = channels // op.groups
        # a phase that writes a single place gains as much as a map of one
        strided = any(step != 1 for phase in taps for step in phase.step)
        alone = strided and all(phase.step[0] >= height and phase.step[1] >= width for phase in taps)
        if each >= _BLOCK and height * width == 1 or each >= _SINGLE and alone:
            return _SINGLE
        return 1 if each < _BLOCK else _BLOCK

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
        array = np.array(value, dtype, order="C")
        self._kept.append(array)
        return int(array.ctypes.data)
