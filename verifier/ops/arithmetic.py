"""Add, Sub, Mul, Div by a constant, and Add, Sub of two computed values."""

from torch import Tensor

from ..graph import Node
from .base import Affine, Params
from .forms import Form, Shape, look


def _constant(node: Node, params: Params) -> Tensor | None:
    return params[node.params[0]] if node.params else None


def _spelled(constant: Tensor, shape: Shape) -> Tensor:
    """A constant that broadcasts against *v as [1, *v]."""
    return constant.expand(shape)[None]


class Add(Affine):
    """x + c, or x + z."""

    sign = 1

    def forward(self, node: Node, params: Params, *values: Tensor) -> Tensor:
        constant = _constant(node, params)
        return values[0] + self.sign * (values[1] if constant is None else constant)

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        constant = _constant(node, params)
        return None if constant is None else self.sign * _spelled(constant, shapes[0])

    def spread(self, node: Node, params: Params, *radii: Tensor) -> Tensor:
        return radii[0] if len(radii) == 1 else radii[0] + radii[1]

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        return (form,) if len(shapes) == 1 else (form, form._replace(coef=self.sign * form.coef))


class Sub(Add):
    """x - c, or x - z."""

    sign = -1


class Mul(Affine):
    """x · c."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value * params[node.params[0]]

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        return None

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return radius * params[node.params[0]].abs()

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        scale = _spelled(params[node.params[0]], out)
        return (form._replace(coef=form.coef * look(scale[:, None], form.window)),)


class Div(Mul):
    """x / c."""

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return value / params[node.params[0]]

    def spread(self, node: Node, params: Params, radius: Tensor) -> Tensor:
        return radius / params[node.params[0]].abs()

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        reciprocal = {node.params[0]: params[node.params[0]].reciprocal()}
        return super().backward(node, reciprocal, form, shapes, out)
