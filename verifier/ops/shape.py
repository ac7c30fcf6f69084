"""Operators that only rearrange entries."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..graph import Node
from .base import Affine, Params
from .forms import Form, Shape, whole


class Reshape(Affine):
    """Row-major change of shape; attrs shape, batch left out."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value.reshape(value.shape[0], *node.attrs["shape"])

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        return None

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return self.forward(node, params, radius)

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        return (whole(form, out),)


class Flatten(Reshape):
    """All axes but the batch into one."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value.flatten(1)


class _Moved(Affine):
    """Base of what puts entries elsewhere: no offset, and a radius goes where its entry goes."""

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        return None

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return self.forward(node, params, radius)


class Transpose(_Moved):
    """Axes in another order; attrs perm: for each axis of the output the axis of *v it was."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value.permute(0, *(axis + 1 for axis in node.attrs["perm"]))

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        coef, perm = whole(form, out).coef, node.attrs["perm"]
        back = coef.unflatten(-1, out).permute(0, 1, 2, *(3 + perm.index(axis) for axis in range(len(perm))))
        return (Form(back.flatten(3)),)


class Gather(_Moved):
    """Entries along one axis by number; attrs axis (of *v), indices, each at least 0 and possibly repeated."""

    mixing = True  # entries that are repeated no longer stand apart

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value.index_select(node.attrs["axis"] + 1, self._indices(node, value))

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        coef = whole(form, out).coef
        blank = coef.new_zeros(*coef.shape[:3], *shapes[0])
        back = blank.index_add(node.attrs["axis"] + 3, self._indices(node, coef), coef.unflatten(-1, out))
        return (Form(back.flatten(3)),)

    @staticmethod
    def _indices(node: Node, like: Tensor) -> Tensor:
        return torch.tensor(node.attrs["indices"], device=like.device)


class Pad(_Moved):
    """Zeros around; attrs pads: how many before each axis of *v, then how many after each."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        pads = node.attrs["pads"]
        rank = len(pads) // 2
        return F.pad(value, [n for axis in reversed(range(rank)) for n in (pads[axis], pads[rank + axis])])

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        coef = whole(form, out).coef.unflatten(-1, out)
        for axis, (first, size) in enumerate(zip(node.attrs["pads"], shapes[0], strict=False)):
            coef = coef.narrow(axis + 3, first, size)
        return (Form(coef.flatten(3)),)


class ReduceSum(_Moved):
    """Sums over some axes, which go; attrs axes (of *v), in order."""

    mixing = True

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value.sum([axis + 1 for axis in node.attrs["axes"]])

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        coef = whole(form, out).coef
        coef = coef.unflatten(-1, out) if out else coef.squeeze(-1)
        for axis in node.attrs["axes"]:
            coef = coef.unsqueeze(axis + 3)
        return (Form(coef.expand(*coef.shape[:3], *shapes[0]).flatten(3)),)
