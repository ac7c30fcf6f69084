"""One matrix product for the bound engine: many rows times a small matrix, the bulk of all back-substitution.

On a CPU in float32 torch sends `mm` to MKL and convolutions to oneDNN; the latter runs the same product two and a half
times faster on an AMD processor with AVX-512 (the only kind measured). So a large product is written as a convolution
with a 1×1 kernel.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_LARGE = 1 << 16  # entries of the left factor from which the detour pays
_ROWS = 16  # rows that make one image of the convolution


def rows_times_matrix(left: Tensor, right: Tensor) -> Tensor:
    """left [..., q] times right [q, p]: [..., p]."""
    if left.device.type != "cpu" or left.dtype != torch.float32:
        return left @ right
    return _RowsTimesMatrix.apply(left, right)


def product(left: Tensor, right: Tensor) -> Tensor:
    """`rows_times_matrix` without a gradient of its own."""
    rows = left.numel() // left.shape[-1]
    if left.numel() < _LARGE or rows % _ROWS or left.dtype != torch.float32:
        return left @ right
    images = left.reshape(-1, _ROWS, 1, left.shape[-1]).permute(0, 3, 1, 2)
    product = F.conv2d(images, right.transpose(0, 1)[:, :, None, None])
    return product.permute(0, 2, 3, 1).reshape(*left.shape[:-1], right.shape[-1])


def transposed_product(left: Tensor, right: Tensor) -> Tensor:
    """leftᵀ · right over all leading axes: [q, p]."""
    q, p = left.shape[-1], right.shape[-1]
    if left.numel() < _LARGE or (left.numel() // q) % _ROWS:
        return left.reshape(-1, q).transpose(0, 1) @ right.reshape(-1, p)
    images = left.reshape(-1, _ROWS, 1, q).permute(0, 3, 1, 2)
    grads = right.reshape(-1, _ROWS, 1, p).permute(0, 3, 1, 2)
    weight = left.new_empty(()).expand(p, q, 1, 1)
    shape = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    _, kernel, _ = torch.ops.aten.convolution_backward(grads, images, weight, None, *shape, [False, True, False])
    return kernel[:, :, 0, 0].transpose(0, 1)


class _RowsTimesMatrix(torch.autograd.Function):
    """The product, its gradient and its vmap rule, all through `product`."""

    @staticmethod
    def forward(left: Tensor, right: Tensor) -> Tensor:
        return product(left, right)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right = ctx.saved_tensors
        to_left = rows_times_matrix(grad, right.transpose(0, 1)) if ctx.needs_input_grad[0] else None
        to_right = _TransposedTimesRows.apply(left, grad) if ctx.needs_input_grad[1] else None
        return to_left, to_right

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, int | None], left: Tensor, right: Tensor) -> tuple[Tensor, int]:
        if dims[0] is not None and dims[1] is None:
            return rows_times_matrix(left.movedim(dims[0], 0), right), 0
        pairs = members(info.batch_size, dims, (left, right))
        return torch.stack([rows_times_matrix(a, b) for a, b in pairs]), 0


class _TransposedTimesRows(torch.autograd.Function):
    """leftᵀ · right, the gradient for the matrix."""

    @staticmethod
    def forward(left: Tensor, right: Tensor) -> Tensor:
        return transposed_product(left, right)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        return rows_times_matrix(right, grad.transpose(0, 1)), rows_times_matrix(left, grad)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, int | None], left: Tensor, right: Tensor) -> tuple[Tensor, int]:
        pairs = members(info.batch_size, dims, (left, right))
        return torch.stack([_TransposedTimesRows.apply(a, b) for a, b in pairs]), 0


def members(size: int, dims: tuple[int | None, ...], inputs: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The arguments of each member of a vmapped call."""
    columns = [[value] * size if dim is None else value.unbind(dim) for value, dim in zip(inputs, dims, strict=True)]
    return list(zip(*columns, strict=True))
