"""Convolution and matrix product: the affine operators with weights."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..graph import Node
from .base import Affine, Params
from .forms import Form, Shape, Window, inside, whole, widened


class Gemm(Affine):
    """y = W v + b; weight [out, in], bias [out]."""

    mixing = True

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return F.linear(value, *(params[name] for name in node.params))

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        return params[node.params[1]][None] if len(node.params) == 2 else None

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return F.linear(radius, params[node.params[0]].abs())

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        return (Form(form.coef @ params[node.params[0]]),)


class MatMul(Gemm):
    """Every row along the last axis times one matrix; weight [out, in]."""

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        coef = whole(form, out).coef.unflatten(-1, out)
        return (Form((coef @ params[node.params[0]]).flatten(3)),)


class Conv(Affine):
    """Convolution in two dimensions; weight [out, in/group, kh, kw], bias [out]."""

    mixing = True

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return self._conv(node, value, *(params[name] for name in node.params))

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        return params[node.params[1]][None, :, None, None] if len(node.params) == 2 else None

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return self._conv(node, radius, params[node.params[0]].abs())

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        weight, (shape,), attrs = params[node.params[0]], shapes, node.attrs
        window = window_below(node, params, form, shape)
        if form.window is not None and window is not None:
            seen = inside(form, out).coef
            if attrs["group"] > 1:  # a matrix would hold every pair of channels, most apart: as images, then
                images = self._transposed(node, seen.reshape(-1, out[0], *form.window.size), weight)
                return (Form(images.reshape(*seen.shape[:3], -1), window),)
            return (Form(seen @ _through(node, weight, form.window, out), window),)
        coef = whole(form, out).coef
        full = self._transposed(node, coef.reshape(-1, *out), weight)
        # rows and columns that the convolution never reached come back as zeros
        top, left = attrs["pads"][:2]
        below, beyond = top + shape[1] - full.shape[-2], left + shape[2] - full.shape[-1]
        full = F.pad(full, (0, max(0, beyond), 0, max(0, below)))
        back = full[..., top : top + shape[1], left : left + shape[2]]
        return (Form(back.reshape(*coef.shape[:3], -1)),)

    @staticmethod
    def _transposed(node: Node, rows: Tensor, weight: Tensor) -> Tensor:
        """rows [N, out, h, w] through the convolution's transpose, padding and all."""
        attrs = node.attrs
        return F.conv_transpose2d(
            rows, weight, stride=tuple(attrs["strides"]), groups=attrs["group"], dilation=tuple(attrs["dilations"])
        )

    @staticmethod
    def _conv(node: Node, value: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        top, left, bottom, right = node.attrs["pads"]
        if (top, left) == (bottom, right):
            padding = (top, left)
        else:
            value, padding = F.pad(value, (left, right, top, bottom)), (0, 0)
        return F.conv2d(
            value, weight, bias, node.attrs["strides"], padding, node.attrs["dilations"], node.attrs["group"]
        )


def window_below(node: Node, params: Params, form: Form, shape: Shape) -> Window | None:
    """The form's window as seen over the convolution's input; None where there is none smaller than the layer."""
    sizes = (params[node.params[0]].shape[2:], node.attrs["strides"], node.attrs["pads"], node.attrs["dilations"])
    window = form.window and widened(form.window, *sizes)
    return None if window is None or window.size[0] * window.size[1] >= shape[1] * shape[2] else window


def _through(node: Node, weight: Tensor, window: Window, out: Shape) -> Tensor:
    """The convolution as a matrix from its window to the wider one, one for all positions: [C·kh·kw, C'·kh'·kw']."""
    strides, dilations = node.attrs["strides"], node.attrs["dilations"]
    entries = out[0] * window.size[0] * window.size[1]
    if tuple(dilations) != (1, 1):
        eye = torch.eye(entries, dtype=weight.dtype, device=weight.device).reshape(entries, out[0], *window.size)
        return F.conv_transpose2d(eye, weight, stride=strides, dilation=dilations).flatten(1)
    # shifted copies of the kernel in a frame of zeros
    frame = [(n - 1) * s for n, s in zip(window.size, strides, strict=True)]
    reach = (frame[0] + weight.shape[2], frame[1] + weight.shape[3])
    framed = F.pad(weight, (frame[1], frame[1], frame[0], frame[0])).flatten(0, 1).unsqueeze(1)
    copies = F.unfold(framed, reach, stride=strides).flip(-1)  # [C·C', kh'·kw', kh·kw]
    return copies.unflatten(0, weight.shape[:2]).permute(0, 3, 1, 2).reshape(entries, -1)
