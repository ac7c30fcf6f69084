"""What an operator has to offer. Values are batch-first tensors [B, *v]; `params` maps names to tensors.

Affine operators are f(v) = L v + f(0): `forward` and `offset` say the function, `spread` is |L| on a radius, and
`backward` carries a form over the output to forms over the inputs, the offset left to the caller. The default
`backward` is the vector-Jacobian product of the forward (Bunel et al., jax_verify), so an operator is complete with
its forward alone; a hand-written rule beside it is for speed and tested equal.

Nonlinear operators give `forward`, `interval` and `lines`.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ..graph import Node
from .forms import Form, Shape, whole

Params = Mapping[str, Tensor]


class Box(NamedTuple):
    """Entry-wise bounds, each [B, *v]."""

    lower: Tensor
    upper: Tensor


class Lines(NamedTuple):
    """Lines that bound f: lower_slope·z + lower_start <= f(z) <= upper_slope·z + upper_start.

    Each [B, S, *v]; S = 1, or M where every specification row has slopes of its own. lower_start None stands for 0.
    """

    lower_slope: Tensor
    lower_start: Tensor | None
    upper_slope: Tensor
    upper_start: Tensor


class Affine:
    """Base of the affine operators."""

    mixing = False  # an output entry reads several input entries

    forward: Callable[..., Tensor]  # (node, params, *values [B, *v]) -> [B, *out]
    spread: Callable[..., Tensor]  # (node, params, *radii [B, *v] >= 0) -> |L| applied to them

    def offset(self, node: Node, params: Params, shapes: tuple[Shape, ...]) -> Tensor | None:
        """f(0) as [1, *out], or None for 0."""
        like = next(iter(params.values()))
        return self.forward(node, params, *(like.new_zeros(1, *shape) for shape in shapes))

    def terms(self, node: Node, params: Params, shapes: tuple[Shape, ...], out: Shape) -> int:
        """Of how many products an entry of f(v), or of a form that is carried back, is the sum at most."""
        return max(prod(out), *map(prod, shapes))

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
    """Base of the operators with one input that act entry by entry.

    What a search may ask of one, each for a box of inputs z and entry by entry: `unstable`, `cut`, `start_slope`.
    """

    kinked = False  # affine on either side of 0: a box that keeps its sign makes the lines exact

    def forward(self, node: Node, params: Params, value: Tensor) -> Tensor:
        raise NotImplementedError

    def interval(self, node: Node, params: Params, box: Box) -> Box:
        raise NotImplementedError

    def lines(self, box: Box, slope: Tensor | None) -> Lines:
        """Lines over the box; `slope` [B, S, *v] in [0, 1] chooses among the sound lower ones."""
        raise NotImplementedError

    def steepest(self, box: Box) -> Tensor:
        """At least the size of every slope of f and of its lines there: [B, *v]."""
        raise NotImplementedError

    def unstable(self, box: Box) -> Tensor:
        """Where the lines lie apart, so that a smaller box would bring them together: bool [B, *v]."""
        return (box.lower < 0) & (box.upper > 0) if self.kinked else box.lower < box.upper

    def cut(self, box: Box) -> Tensor:
        """Where to divide the box of an unstable entry [B, *v]."""
        return torch.zeros_like(box.lower) if self.kinked else (box.lower + box.upper) / 2

    def start_slope(self, box: Box) -> Tensor:
        """The `slope` [B, *v] that `lines` takes of its own accord."""
        return torch.full_like(box.lower, 0.5)

    def passes(self, box: Box) -> Tensor:
        """Where f is the identity on the box: bool [B, *v]."""
        return torch.zeros_like(box.lower, dtype=torch.bool)
