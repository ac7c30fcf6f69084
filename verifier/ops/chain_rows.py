"""Rows through a chain's compiled program, for autograd and for populations under `torch.func.vmap`."""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from . import compiled
from .chain import Chain, source
from .chain_call import Call, pointers
from .forms import Form


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
        call = Call(program, chain, coef, radius, tensors)
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
        call = Call(program, chain, coef, radius, tensors)
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
            pointers(dlines),
            pointers(dweights),
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
