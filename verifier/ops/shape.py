"""Operators that only rearrange entries."""

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
