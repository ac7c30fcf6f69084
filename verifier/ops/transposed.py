"""Transposed convolution, the backward rule of a convolution over a whole value.

On a CPU `conv_transpose2d` with a stride and few channels spends its time in layout changes; the same map as a
convolution with stride 1 and s·s times the channels, shuffled into place (Shi et al. 2016, sub-pixel convolution), is
two to five times faster there. Its gradient is the plain convolution, which torch would not find by itself.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from .forms import Shape


def transposed_conv(
    rows: Tensor,
    weight: Tensor,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
    shape: Shape,
) -> Tensor:
    """rows [N, out, h, w] -> [N, *shape], the transpose of the convolution with `weight` [out, in/group, kh, kw]."""
    (sh, sw), (top, left) = strides, pads[:2]
    if rows.device.type == "cpu" and rows.dtype == torch.float32 and sh == sw > 1 and group == 1 == max(dilations):
        full = _SubPixel.apply(rows, weight, sh)
    else:
        full = F.conv_transpose2d(rows, weight, stride=tuple(strides), groups=group, dilation=tuple(dilations))
    # rows and columns that the convolution never reached come back as zeros
    below, beyond = top + shape[1] - full.shape[-2], left + shape[2] - full.shape[-1]
    full = F.pad(full, (0, max(0, beyond), 0, max(0, below)))
    return full[..., top : top + shape[1], left : left + shape[2]]


class _SubPixel(torch.autograd.Function):
    """rows [N, out, h, w], weight [out, in, kh, kw] -> [N, in, (h-1)·s + kh, (w-1)·s + kw]."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, weight: Tensor, stride: int) -> Tensor:
        out, channels, kh, kw = weight.shape
        mh, mw = -(-kh // stride), -(-kw // stride)
        padded = F.pad(weight, (0, mw * stride - kw, 0, mh * stride - kh))
        phases = padded.reshape(out, channels, mh, stride, mw, stride).permute(1, 3, 5, 0, 2, 4).flip(4, 5)
        kernel = phases.reshape(channels * stride * stride, out, mh, mw)
        full = F.pixel_shuffle(F.conv2d(rows, kernel, padding=(mh - 1, mw - 1)), stride)
        return full[..., : (rows.shape[-2] - 1) * stride + kh, : (rows.shape[-1] - 1) * stride + kw]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.stride = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows, weight = ctx.saved_tensors
        stride = [ctx.stride, ctx.stride]
        to_rows = F.conv2d(grad, weight, stride=stride) if ctx.needs_input_grad[0] else None
        to_weight = conv2d_weight(grad, weight.shape, rows, stride) if ctx.needs_input_grad[1] else None
        return to_rows, to_weight, None
