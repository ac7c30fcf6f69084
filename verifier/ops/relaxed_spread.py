"""The last steps of back-substitution in one pass: through a ReLU's lines, through a convolution, onto the radius.

    out = sum over p of |(A⁺ low + A⁻ up) T| r          A [.., R, q], lines [.., q], T [q, p], r [.., p]

Done operator by operator, each of these forms is written to memory and read back; here a few windows at a time go all
the way while they are in the processor's cache. The gradient does the same in reverse, from the signs kept.
"""

from typing import Any

import torch
from torch import Tensor

from .forms import signed_parts
from .gemm import members, product, transposed_product

_CACHE = 3 << 20  # bytes of the two forms that are alive together


def relaxed_spread(coef: Tensor, low: Tensor, up: Tensor, matrix: Tensor, seen: Tensor) -> Tensor:
    """coef [B|1, L|1, R, q], low and up [B, L, 1, q], matrix [q, p], seen [B, L, 1, p] >= 0: [B, L·R].

    `coef` is one for all windows, [1, 1, R, q], or spelled out, [B, L, R, q].
    """
    spelled = coef[0, 0] if coef.shape[:2] == (1, 1) else coef.expand(*low.shape[:2], -1, -1).flatten(0, 1)
    lines = (low.flatten(0, 2), up.flatten(0, 2))
    keep = torch.is_grad_enabled()
    out, _ = _RelaxedSpread.apply(spelled, *lines, matrix, seen.flatten(0, 2), keep)
    return out.reshape(low.shape[0], -1)


def _tiles(rows: int, low: Tensor, seen: Tensor) -> list[slice]:
    """Slices over the windows, so many that both forms of a slice fit the cache; multiples of 16 rows in all."""
    fits = _CACHE // (rows * (low.shape[1] + seen.shape[1]) * low.element_size())
    size = max(16, fits // 16 * 16)
    return [slice(first, first + size) for first in range(0, len(low), size)]


def _relaxed(coef: Tensor, low: Tensor, up: Tensor) -> Tensor:
    """A⁺ low + A⁻ up: [n, R, q]."""
    positive, negative = signed_parts(coef)
    return (positive * low.unsqueeze(1)).addcmul_(negative, up.unsqueeze(1))


class _RelaxedSpread(torch.autograd.Function):
    """coef [R, q] or [N, R, q], low, up [N, q], matrix [q, p], seen [N, p] -> out [N, R], and the signs where kept."""

    @staticmethod
    def forward(
        coef: Tensor, low: Tensor, up: Tensor, matrix: Tensor, seen: Tensor, keep: bool
    ) -> tuple[Tensor, Tensor]:
        rows = coef.shape[-2]
        out = low.new_empty(len(low), rows)
        signs = torch.empty(len(low) if keep else 0, rows, seen.shape[1], dtype=torch.int8, device=low.device)
        for part in _tiles(rows, low, seen):
            reached = product(_relaxed(coef if coef.dim() == 2 else coef[part], low[part], up[part]), matrix)
            if keep:
                signs[part] = torch.sign(reached)
            torch.sum(reached.abs_().mul_(seen[part].unsqueeze(1)), -1, out=out[part])
        return out, signs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:5], output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad
        return (*_Gradient.apply(grad, *ctx.saved_tensors, wanted[1], wanted[4]), None)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        results = [_RelaxedSpread.apply(*one) for one in members(info.batch_size, dims, inputs)]
        return tuple(torch.stack(column) for column in zip(*results, strict=True)), (0, 0)


class _Gradient(torch.autograd.Function):
    """The gradient of `_RelaxedSpread` for coef, low, up, matrix and seen; it has none of its own."""

    @staticmethod
    def forward(
        grad: Tensor,
        coef: Tensor,
        low: Tensor,
        up: Tensor,
        matrix: Tensor,
        seen: Tensor,
        signs: Tensor,
        to_low: bool,
        to_seen: bool,
    ) -> tuple[Tensor, ...]:
        shared = coef.dim() == 2
        positive, negative = signed_parts(coef)
        grads = [torch.zeros_like(value) for value in (coef, low, up, matrix, seen)]
        above, below = torch.zeros_like(coef), torch.zeros_like(coef)
        for part in _tiles(coef.shape[-2], low, seen):
            own = slice(None) if shared else part
            relaxed = _relaxed(coef[own], low[part], up[part])
            weight = grad[part].unsqueeze(-1)
            if to_seen:
                torch.sum(product(relaxed, matrix).abs_().mul_(weight), 1, out=grads[4][part])
            reached = signs[part].to(low.dtype).mul_(seen[part].unsqueeze(1)).mul_(weight)
            grads[3] += transposed_product(relaxed, reached)
            back = product(reached, matrix.transpose(0, 1))
            torch.sum(back * negative[own], 1, out=grads[2][part])
            if to_low:
                torch.sum(back * positive[own], 1, out=grads[1][part])
            for total, line in ((above, low), (below, up)):
                slope = back * line[part].unsqueeze(1)
                if shared:
                    total += slope.sum(0)
                else:
                    total[part] = slope
        grads[0] = torch.where(coef > 0, above, below)
        return tuple(grads)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        results = [_Gradient.apply(*one) for one in members(info.batch_size, dims, inputs)]
        return tuple(torch.stack(column) for column in zip(*results, strict=True)), (0,) * 5
