"""The arguments of a chain's compiled program (c/chain.h)."""

import ctypes
from typing import Any

from torch import Tensor

from . import compiled
from .chain import Chain


class _CallRecord(ctypes.Structure):
    """`struct call` of c/chain.h."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("members", "inputs", "tiles")),
        ("coef", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("coef_member", "coef_input", "coef_position")),
        *((name, ctypes.c_void_p) for name in ("lines", "lines_member", "weights", "weights_member", "radius")),
        ("radius_member", ctypes.c_long),
        ("scratch", ctypes.c_void_p),
    ]


class Call:
    """The arguments of a program: checked shapes, contiguous tensors, and their addresses."""

    def __init__(
        self, program: compiled.Program, chain: Chain, coef: Tensor, radius: Tensor, tensors: tuple[Tensor, ...]
    ) -> None:
        steps = len(chain.steps)
        self.program = program
        self.inputs = max(coef.shape[1], radius.shape[1], *(value.shape[1] for value in tensors[: 4 * steps]))
        self.members = max(value.shape[0] for value in (coef, radius, *tensors))
        self.positions = chain.window.positions[0] * chain.window.positions[1] if chain.window else 1
        own = (coef.shape[3] * program.lanes,) if chain.own else ()
        maps = [(*step.map, *end) for step in chain.steps for end in (own, (), own, ())]
        lines = tensors[: 4 * steps]
        several = [max(value.shape[0] for value in lines[k - k % 4 :][:4]) for k in range(4 * steps)]  # of each step
        self.lines = [
            value.expand(n, self.inputs, *shape).contiguous()
            for value, n, shape in zip(lines, several, maps, strict=True)
        ]
        self.weights = [
            value.reshape(-1, *step.weight).contiguous()
            for value, step in zip(tensors[4 * steps :], chain.steps, strict=True)
        ]
        self.radius = radius.expand(-1, self.inputs, *chain.end).contiguous()
        self.coef = coef.contiguous()
        for value in (self.coef, self.radius, *self.lines, *self.weights):
            if value.shape[0] not in (1, self.members) or value.dtype != coef.dtype or value.device.type != "cpu":
                raise ValueError("a chain's tensors must agree in members, dtype and device")

    def pointer(self, with_gradient: bool) -> Any:
        """The record's address; it lives as long as this value."""
        coef, steps = self.coef, len(self.weights)
        reals = self.program.scratch_reals(int(with_gradient))
        self.scratch = coef.new_empty(reals + 64)
        address = self.scratch.data_ptr()
        self.strides = [
            (ctypes.c_long * steps)(*(value.stride(0) if value.shape[0] > 1 else 0 for value in values))
            for values in (self.lines[1::4], self.weights)
        ]
        self.tables = [pointers(self.lines), pointers(self.weights)]
        self.record = _CallRecord(
            self.members,
            self.inputs,
            coef.shape[3],
            coef.data_ptr(),
            *(coef.stride(axis) if coef.shape[axis] > 1 else 0 for axis in range(3)),
            ctypes.addressof(self.tables[0]),
            ctypes.addressof(self.strides[0]),
            ctypes.addressof(self.tables[1]),
            ctypes.addressof(self.strides[1]),
            self.radius.data_ptr(),
            self.radius.stride(0) if self.radius.shape[0] > 1 else 0,
            address + -address % 64,
        )
        return ctypes.byref(self.record)


def pointers(values: list[Tensor]) -> Any:
    """Their addresses, as a table."""
    return (ctypes.c_void_p * len(values))(*(value.data_ptr() for value in values))
