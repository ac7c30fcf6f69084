"""Transposed convolution, the decoder's way up."""

import torch.nn.functional as F
from torch import Tensor

from ..graph import Node
from .base import Affine, Params
from .forms import Shape


class ConvTranspose(Affine):
    """Transposed convolution in two dimensions; weight [in, out/group, kh, kw], bias [out].

    attrs as Conv's, and extra: rows and columns added at the bottom and the right, which pads then cut.
    """

    mixing = True

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        spread = self._transposed(node, value, params[node.params[0]])
        return spread + params[node.params[1]][:, None, None] if len(node.params) == 2 else spread

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        return params[node.params[1]][None, :, None, None] if len(node.params) == 2 else None

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return self._transposed(node, radius, params[node.params[0]].abs())

    @staticmethod
    def _transposed(node: Node, value: Tensor, weight: Tensor) -> Tensor:
        attrs = node.attrs
        full = F.conv_transpose2d(
            value, weight, stride=tuple(attrs["strides"]), groups=attrs["group"], dilation=tuple(attrs["dilations"])
        )
        top, left, bottom, right = attrs["pads"]
        below, beyond = attrs["extra"]
        return F.pad(full, (-left, beyond - right, -top, below - bottom))
