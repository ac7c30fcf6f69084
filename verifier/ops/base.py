"""What an operator has to offer. Values are batch-first tensors [B, *v]; `params` maps names to tensors.

Affine operators are f(v) = L v + f(0): `forward` and `offset` say the function, `spread` is |L| on a radius, and
`backward` carries a form over the output to forms over the inputs, the offset left to the caller. The default
`backward` is the vector-Jacobian product of the forward (Bunel et al., jax_verify), so an operator is complete with
its forward alone; a hand-written rule beside it is for speed and tested equal.

Nonlinear operators are functions of single entries (`glscert.verifier.functions`).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..functions import Box, Function
from ..graph import Node
from .forms import Form, Shape, whole

Params = Mapping[str, Tensor]


class Affine:
    """Base of the affine operators."""

    mixing = False  # an output entry reads several input entries

    forward: Callable[..., Tensor]  # (node, params, *values [B, *v]) -> [B, *out]
    spread: Callable[..., Tensor]  # (node, params, *radii [B, *v] >= 0) -> |L| applied to them

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        """f(0) as [1, *out], or None for 0."""
        like = next(iter(params.values()))
        return self.forward(node, params, *(like.new_zeros(1, *shape) for shape in shapes))

    def interval(self, node: Node, params: Params, *boxes: Box) -> Box:
        """Exact interval image: centre and radius (Gowal et al. 2018, equation 6)."""
        centre = self.forward(node, params, *((box.lower + box.upper) / 2 for box in boxes))
        radius = self.spread(node, params, *((box.upper - box.lower) / 2 for box in boxes))
        return Box(centre - radius, centre + radius)

    def backward(
        self, node: Node, params: Params, form: Form, shapes: tuple[Shape, ...], out: Shape
    ) -> tuple[Form, ...]:
        """A form over the output (shape `out`) -> one over each input: A L."""
        coef = whole(form, out).coef
        batch, _, rows, _ = coef.shape
        zeros = tuple(coef.new_zeros(batch * rows, *shape) for shape in shapes)
        pull = torch.func.vjp(lambda *values: self.forward(node, params, *values), *zeros)[1]
        return tuple(Form(back.reshape(batch, 1, rows, -1)) for back in pull(coef.reshape(batch * rows, *out)))


class Nonlinear:
    """A function of single entries as an operator with one input. What it knows of boxes it has from the function:
    `kinked`, `lines`, `passes`."""

    def __init__(self, function: Function) -> None:
        self.kinked = function.kinked
        self._forward, self._interval = function.forward, function.interval
        self.lines, self.passes = function.lines, function.passes

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        return self._forward(value)

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        return self._interval(box)
