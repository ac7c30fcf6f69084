"""Back-substitution from a ReLU through all that lies below it, where that is a chain of ReLUs and convolutions.

    out = sum over the ReLUs of (A+ lower + A- upper)  -  |A| radius

`Chain` says what the chain looks like; every number in it is a constant of the program compiled for it (`compiled`,
c/chain.h), which carries a vector of rows at a time from the first ReLU to the radius, in cache. It runs on a CPU, for
a single network or for a population of them.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..engine.compiled import lanes as lanes_of
from . import compiled
from .forms import Form, Shape, Window, widened


class Step(NamedTuple):
    """A ReLU's map [C, H, W], and the convolution below it: weight [C, I, KH, KW], strides, top and left padding."""

    map: Shape
    weight: Shape
    strides: tuple[int, int]
    pads: tuple[int, int]


class Chain(NamedTuple):
    """The steps in the order of back-substitution, the shape of the radius's map, the first window (None: whole).

    own: every row has lower lines of its own; without a window only.
    """

    steps: tuple[Step, ...]
    end: Shape
    window: Window | None
    own: bool = False


class StepLines(NamedTuple):
    """Slopes of a ReLU's lines, and their values where the constants are taken; each [B, C, H, W].

    In a chain with rows of their own, low and lower are [B, M, C, H, W].
    """

    low: Tensor
    up: Tensor
    lower: Tensor
    upper: Tensor


def substitution(
    chain: Chain, form: Form, lines: list[StepLines], weights: list[Tensor], radius: Tensor
) -> Callable[[Tensor | None], Tensor] | None:
    """Lower bounds [B, M] of `form` over the first ReLU's output, radius [B, I, H, W]; None: not compiled.

    They come as a function of which rows are wanted [B, M], None for all; the others' bounds are left at 0.
    Differentiable in all but the radius.
    """
    program = compiled.program(source(chain, form.coef.shape[-2], form.coef.dtype))
    if program is None:
        return None
    rows, lanes = form.coef.shape[-2], program.lanes
    if chain.own:
        lines = [step._replace(low=_rows_last(step.low, lanes), lower=_rows_last(step.lower, lanes)) for step in lines]
    tensors = [part.unsqueeze(0) for step in lines for part in step] + [weight.unsqueeze(0) for weight in weights]
    fixed = (_tiled(form.coef, lanes), radius.unsqueeze(0), *tensors)

    def bounds(wanted: Tensor | None = None) -> Tensor:
        if wanted is not None:
            wanted = pad(wanted.unflatten(1, (-1, rows)), (0, -rows % lanes)).unsqueeze(0)
        return _Substitute.apply(program, chain, wanted, *fixed)[0, ..., :rows].flatten(1)

    return bounds


@cache
def source(chain: Chain, rows: int, dtype: torch.dtype) -> compiled.Source:
    """The C program for a chain."""
    lanes = lanes_of(rows, dtype.itemsize)
    window, text = chain.window, [f"#define LANES {lanes}", f"#define DOUBLE {int(dtype == torch.float64)}"]
    text.append(f"#define OWN {-(-rows // lanes) * lanes if chain.own else 0}")
    text += ['#include "vector.h"', '#include "step_table.h"']
    entries = []
    for k, step in enumerate(chain.steps):
        (c, h, w), (_, i, kh, kw), (sh, sw) = step.map, step.weight, step.strides
        below = chain.steps[k + 1].map if k + 1 < len(chain.steps) else chain.end
        rh, rw = window.size if window else (h, w)
        pad = (0, 0) if window else step.pads
        fh = (rh - 1) * sh + kh if window else max((rh - 1) * sh + kh, pad[0] + below[1])
        fw = (rw - 1) * sw + kw if window else max((rw - 1) * sw + kw, pad[1] + below[2])
        values = dict(C=c, H=h, W=w, RH=rh, RW=rw, I=i, KH=kh, KW=kw, SH=sh, SW=sw, FH=fh, FW=fw)
        text += [f"#define {name} {value}" for name, value in values.items()]
        text += [f"#define NAME(x) x##_{k}", '#include "step.h"']
        start, stride = (window.start, window.stride) if window else ((0, 0), (0, 0))
        numbers = [c * rh * rw, i * fh * fw, c * i * kh * kw, c * h * w, pad[0] * fw + pad[1], fh * fw, fw]
        numbers += [rh, rw, *start, *stride]
        functions = ("relax", "relax_gradient", "transpose", "convolve", "weight_gradient")
        entries.append("{" + ", ".join([f"{name}_{k}" for name in functions] + [str(n) for n in numbers]) + "}")
        window = window and widened(window, step.weight[2:], step.strides, step.pads, (1, 1))
    start, stride = (window.start, window.stride) if window else ((0, 0), (0, 0))
    positions, seen = (window.positions, window.size) if window else ((1, 1), chain.end[1:])
    ends: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = [
        ("POSITIONS_", ("Y", "X"), positions),
        ("END_", ("C", "H", "W"), chain.end),
        ("END_R", ("H", "W"), seen),
        ("END_START_", ("Y", "X"), start),
        ("END_STRIDE_", ("Y", "X"), stride),
    ]
    text += [f"static const struct step steps[] = {{{', '.join(entries)}}};"]
    text.append(f"#define STEPS {len(chain.steps)}")
    for name, axes, extents in ends:
        text += [f"#define {name}{axis} {extent}" for axis, extent in zip(axes, extents, strict=True)]
    return compiled.Source("\n".join([*text, '#include "chain.h"', ""]), lanes)


def _tiled(coef: Tensor, lanes: int) -> Tensor:
    """[B|1, L|1, R, q] -> [1, B|1, L|1, tiles, q, lanes], the rows filled up with zeros to whole tiles."""
    padded = pad(coef, (0, 0, 0, -coef.shape[-2] % lanes))
    return padded.unflatten(-2, (-1, lanes)).transpose(-1, -2).contiguous().unsqueeze(0)


def _rows_last(lines: Tensor, lanes: int) -> Tensor:
    """[B, M, C, H, W] -> [B, C, H, W, rows], the rows filled up with zeros to whole tiles."""
    return pad(lines.movedim(1, -1), (0, -lines.shape[1] % lanes))


class _Substitute(torch.autograd.Function):
    """Everything has a leading axis of members, 1 for "the same for all"; out [P, B, L, rows]."""

    @staticmethod
    def forward(
        program: compiled.Program, chain: Chain, wanted: Tensor | None, coef: Tensor, radius: Tensor, *tensors: Tensor
    ) -> Tensor:
        call = _Call(program, chain, coef, radius, tensors)
        shape = (call.members, call.inputs, call.positions, coef.shape[3] * program.lanes)
        if wanted is None:
            chosen, out = None, coef.new_empty(shape)
        else:
            wanted, out = wanted.to(coef.dtype).expand(shape).contiguous(), coef.new_zeros(shape)
            chosen = ctypes.c_void_p(wanted.data_ptr())
        program.substitute(call.pointer(False), chosen, ctypes.c_void_p(out.data_ptr()))
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.program, ctx.chain, wanted = inputs[:3]
        ctx.some = wanted is not None
        ctx.save_for_backward(*inputs[3:], *([wanted] if ctx.some else []))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        if ctx.some:
            *saved, wanted = saved
            grad = torch.where(wanted, grad, 0.0)
        coef, *lines_and_weights = _Gradient.apply(ctx.program, ctx.chain, grad, *saved)
        return None, None, None, coef, None, *lines_and_weights

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], program: Any, chain: Any, wanted: Tensor | None, *tensors: Tensor
    ) -> tuple[Tensor, int]:
        if wanted is None:
            (*merged,), _ = _members(info.batch_size, dims[3:], tensors)
        else:
            (wanted, *merged), _ = _members(info.batch_size, dims[2:], (wanted, *tensors))
        out = _Substitute.apply(program, chain, wanted, *merged)
        return out.unflatten(0, (info.batch_size, -1)), 0


class _Gradient(torch.autograd.Function):
    """The gradient of `_Substitute` for coef, lines and weights; it has none of its own."""

    @staticmethod
    def forward(
        program: compiled.Program, chain: Chain, grad: Tensor, coef: Tensor, radius: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        call = _Call(program, chain, coef, radius, tensors)
        # the program adds a member's part to each but the coefficients, which it reads and adds to alike
        found = [coef.new_zeros(coef.shape)]
        found += [value.new_zeros(call.members, *value.shape[1:]) for value in call.lines]
        found += [value.new_empty(call.members, *value.shape[1:]) for value in call.weights]
        grad = grad.expand(call.members, -1, -1, -1).contiguous()
        dlines, dweights = found[1 : 1 + len(call.lines)], found[1 + len(call.lines) :]
        program.gradient(
            call.pointer(True),
            ctypes.c_void_p(grad.data_ptr()),
            ctypes.c_void_p(found[0].data_ptr()),
            _pointers(dlines),
            _pointers(dweights),
        )
        return tuple(part.sum_to_size(value.shape) for part, value in zip(found, (coef, *tensors), strict=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], program: Any, chain: Any, *tensors: Tensor) -> tuple[Any, Any]:
        merged, inner = _members(info.batch_size, dims[2:], tensors, each=True)
        found = [part.unflatten(0, (info.batch_size, inner)) for part in _Gradient.apply(program, chain, *merged)]
        own = [
            value.movedim(dim or 0, 0).shape[0 if dim is None else 1]
            for value, dim in zip(tensors[1:], dims[3:], strict=True)
        ]
        del own[1]  # the radius has no gradient
        return tuple(part.sum(1, keepdim=True) if n < inner else part for part, n in zip(found, own, strict=True)), (
            0,
        ) * len(found)


def _members(
    size: int, dims: tuple[int | None, ...], tensors: tuple[Tensor, ...], each: bool = False
) -> tuple[list[Tensor], int]:
    """The tensors of a vmapped call with its axis merged into that of the members, and how many these were.

    each: also what is the same for all is spelled out, for a result (its gradient) that is not.
    """
    first = [value if dim is None else value.movedim(dim, 0) for value, dim in zip(tensors, dims, strict=True)]
    inner = max(value.shape[0 if dim is None else 1] for value, dim in zip(first, dims, strict=True))
    merged = []
    for value, dim in zip(first, dims, strict=True):
        if dim is None and value.shape[0] == 1 and not each:
            merged.append(value)
            continue
        value = value.unsqueeze(0) if dim is None else value
        merged.append(value.expand(size, inner, *value.shape[2:]).flatten(0, 1))
    return merged, inner


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


class _Call:
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
        self.tables = [_pointers(self.lines), _pointers(self.weights)]
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


def _pointers(values: list[Tensor]) -> Any:
    return (ctypes.c_void_p * len(values))(*(value.data_ptr() for value in values))
