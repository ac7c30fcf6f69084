"""The loss of some images as a function of the trainable parameters.

L(theta) = w mean CE_robust + (1 - w) mean CE + c R + l1 |W|_1          (R: `regulariser`, only while eps grows)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from glscert.verifier.bounds import RELAXATIONS, ROWS_ONLY, Bounds, Box, linf_box, margin_spec
from glscert.verifier.bounds.interval import image
from glscert.verifier.graph import Graph
from glscert.verifier.ops import evaluate

from . import fused, regulariser
from .evaluation import Params
from .losses import robust_cross_entropy

SMALLEST_EPS = 1e-6  # the regulariser's boxes are never smaller


class Images(NamedTuple):
    """Some images x [B, *v] of a mini-batch with labels y [B] and all else that a method's own loss may depend on.

    `generator` (CPU) is theirs alone; `annealing` says whether eps still grows, `every_box` whether the regulariser
    counts, see `Objective.bounds_on`.
    """

    x: Tensor
    y: Tensor
    eps: float
    generator: torch.Generator
    annealing: bool = False
    every_box: bool = True


class LossParts(NamedTuple):
    """The robust loss of some images, as a method gives it: a function of sums, so that chunks of a batch add up.

    terms [T]: sums over the images; `combine` makes the loss from their means [T] over the whole batch.
    proved: how many images the bounds prove over all of their boxes; None where they cover less than that.
    box, bounds: an input box and what was found on it, for the regulariser; None where nothing was bounded.
    statistics: the regulariser's, where they are known already.
    """

    terms: Tensor
    proved: Tensor | None
    box: Box | None = None
    bounds: Bounds | None = None
    combine: Callable[[Tensor], Tensor] = torch.sum
    statistics: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """Everything that is minimised, but for the images: network, relaxation, weight of the robust loss, region.

    Entry i of an input may move by eps times `scale` [*v], within the valid range `low` [*v] to `high` [*v].
    """

    graph: Graph
    constants: Mapping[str, Tensor]
    relaxation: str
    classes: int
    robust_weight: float = 1.0
    scale: float | Tensor = 1.0
    low: float | Tensor = 0.0
    high: float | Tensor = 1.0
    relaxation_options: Mapping[str, Any] = field(default_factory=dict)  # of `relaxation`, and of no other
    network: fused.Network | None = None  # for the fused program

    def fused_program(self, relaxation: str | None = None) -> fused.Program | None:
        """The program that takes the robust loss by a relaxation (None: the objective's own); None: torch does."""
        return None if self.network is None else fused.program(self.network, relaxation or self.relaxation)

    def box(self, x: Tensor, eps: float) -> Box:
        """Where inputs x [B, *v] may lie after a perturbation of size eps."""
        return linf_box(x, eps * self.scale, self.low, self.high)

    def bounds(
        self,
        params: Params,
        x: Tensor,
        y: Tensor,
        eps: float,
        relaxation: str | None = None,
        *,
        every_box: bool = True,
    ) -> Bounds:
        """Bounds on the margins of the labels y [B] over the box of x [B, *v] at eps."""
        return self.bounds_on(params, self.box(x, eps), y, self.relaxation_at(eps, relaxation), every_box=every_box)

    def relaxation_at(self, eps: float, relaxation: str | None = None) -> str:
        """That of the bounds at eps, of the objective's own or the one given: IBP at 0.

        At a single point every relaxation gives the value itself, and IBP is the cheapest.
        """
        return "ibp" if eps == 0 else relaxation or self.relaxation

    def bounds_on(
        self, params: Params, box: Box, y: Tensor, relaxation: str | None = None, *, every_box: bool = True
    ) -> Bounds:
        """Bounds on the margins of the labels y [B] over any box [B, *v]; None: by the objective's own relaxation.

        every_box: False where only the margins' bounds count, for speed; stable neurons may have wider boxes then.
        """
        spec = margin_spec(y, self.classes, box.lower.dtype)
        name = relaxation or self.relaxation
        options = self.relaxation_options if name == self.relaxation else {}
        table = RELAXATIONS if every_box else ROWS_ONLY
        return table[name](self.graph, {**self.constants, **params}, box, spec, **options)

    def scores(self, params: Params, x: Tensor) -> Tensor:
        """The network's output [B, K]."""
        return evaluate(self.graph, {**self.constants, **params}, x)

    def robust_loss(
        self,
        params: Params,
        x: Tensor,
        y: Tensor,
        eps: float,
        relaxation: str | None = None,
        *,
        every_box: bool = True,
    ) -> LossParts:
        """The robust cross-entropy of x [B, *v] with labels y [B]: of methods without a loss of their own.

        every_box: False where the regulariser does not count, see `bounds_on`.
        """
        name = self.relaxation_at(eps, relaxation)
        return self.robust_loss_on(params, self.box(x, eps), y, name, every_box=every_box)

    def robust_loss_on(
        self, params: Params, box: Box, y: Tensor, relaxation: str | None = None, *, every_box: bool = True
    ) -> LossParts:
        """The robust cross-entropy over a box; see `bounds_on`."""
        found = self._fused_sums(params, box, y, relaxation, every_box=every_box)
        if found is None:
            bounds = self.bounds_on(params, box, y, relaxation, every_box=every_box)
            return LossParts(robust_cross_entropy(bounds.lower)[None], proved(bounds), box, bounds)
        return LossParts(found.loss[None], found.proved, statistics=found.statistics if every_box else None)

    def _fused_sums(
        self, params: Params, box: Box, y: Tensor, relaxation: str | None, *, every_box: bool
    ) -> fused.Sums | None:
        """By the fused program, with the regulariser's statistics where they count; None: it is not for this."""
        program = self.fused_program(relaxation)
        if program is None or any(
            value.dtype != torch.float32 or not value.is_cpu for value in (*box, *params.values())
        ):
            return None
        start = self._value(params, box, program.network.start)
        inputs = fused.Inputs(start.lower, start.upper, y)
        found = fused.robust_sums(program, inputs, params, relaxation or self.relaxation, every_box=every_box)
        if not every_box:
            return found
        entering = regulariser.statistics(self._entering(params, box), {})
        return found._replace(statistics=torch.cat([entering, found.statistics]))

    def statistics(self, params: Params, x: Tensor, y: Tensor, eps: float, known: LossParts | None = None) -> Tensor:
        """The regulariser's sums over x, from what is known of the box at eps already, if anything."""
        if eps < SMALLEST_EPS:
            known = self.robust_loss_on(params, self.box(x, SMALLEST_EPS), y, "ibp")
        if known is not None and known.statistics is not None:
            return known.statistics
        if known is not None and known.box is not None and known.bounds is not None:
            box, bounds = known.box, known.bounds
        else:
            box, bounds = self.box(x, eps), self.bounds(params, x, y, eps)
        return regulariser.statistics(self._entering(params, box), bounds.pre)

    def _entering(self, params: Params, box: Box) -> Box:
        """The box at the first linear layer: after the normalisation."""
        first = next((node.inputs[0] for node in self.graph.nodes if node.op in ("Conv", "Gemm")), self.graph.input)
        return self._value(params, box, first)

    def _value(self, params: Params, box: Box, name: str) -> Box:
        """The interval image of a value."""
        boxes = {self.graph.input: box}
        for node in self.graph.nodes:
            if name in boxes:
                break
            boxes[node.output] = image(node, {**self.constants, **params}, boxes)
        return boxes[name]


def proved(bounds: Bounds) -> Tensor:
    """The number of inputs whose rows are all positive."""
    return (bounds.lower.detach() > 0).all(1).sum()
