"""The loss of some images as a function of the trainable parameters.

L(theta) = w mean CE_robust + (1 - w) mean CE + c R + l1 |W|_1          (R: `regulariser`, only while eps grows)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from glscert.verifier.bounds import RELAXATIONS, Bounds, Box, linf_box, margin_spec
from glscert.verifier.graph import Graph
from glscert.verifier.ops import evaluate

from . import regulariser
from .evaluation import Params
from .losses import nominal_cross_entropy, robust_cross_entropy

SMALLEST_EPS = 1e-6  # the regulariser's boxes are never smaller


class Terms(NamedTuple):
    """Sums over some images: cross-entropy (weighted), images proved, and the regulariser's sums if asked for."""

    cross_entropy: Tensor
    proved: Tensor
    sums: Tensor | None


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

    def box(self, x: Tensor, eps: float) -> Box:
        """Where inputs x [B, *v] may lie after a perturbation of size eps."""
        return linf_box(x, eps * self.scale, self.low, self.high)

    def bounds(self, params: Params, x: Tensor, y: Tensor, eps: float, relaxation: str | None = None) -> Bounds:
        """Bounds on the margins of the labels y [B] over the box of x [B, *v] at eps."""
        # at a single point every relaxation gives the value itself, and IBP is the cheapest
        name = "ibp" if eps == 0 else relaxation or self.relaxation
        spec = margin_spec(y, self.classes, x.dtype)
        return RELAXATIONS[name](self.graph, {**self.constants, **params}, self.box(x, eps), spec)

    def scores(self, params: Params, x: Tensor) -> Tensor:
        """The network's output [B, K]."""
        return evaluate(self.graph, {**self.constants, **params}, x)

    def terms(self, params: Params, x: Tensor, y: Tensor, eps: float, regularised: bool) -> Terms:
        """The loss of x [B, *v] with labels y [B]."""
        bounds = self.bounds(params, x, y, eps)
        loss = self.robust_weight * robust_cross_entropy(bounds.lower)
        if self.robust_weight < 1:
            loss = loss + (1 - self.robust_weight) * nominal_cross_entropy(self.scores(params, x), y)
        proved = (bounds.lower.detach() > 0).all(1).sum()
        return Terms(loss, proved, self.statistics(params, x, y, eps, bounds) if regularised else None)

    def statistics(self, params: Params, x: Tensor, y: Tensor, eps: float, bounds: Bounds | None = None) -> Tensor:
        """The regulariser's sums over x; `bounds` are those at eps, where they are known already."""
        if eps < SMALLEST_EPS:
            eps, bounds = SMALLEST_EPS, self.bounds(params, x, y, SMALLEST_EPS, "ibp")
        elif bounds is None:
            bounds = self.bounds(params, x, y, eps)
        return regulariser.statistics(self._entering(self.box(x, eps)), bounds.pre)

    def _entering(self, box: Box) -> Box:
        """The box at the first linear layer: after the normalisation, which is increasing."""
        first = next(i for i, node in enumerate(self.graph.nodes) if node.op in ("Conv", "Gemm"))
        if first == 0:
            return box
        nodes = self.graph.nodes[:first]
        prefix = Graph(self.graph.input, nodes[-1].output, nodes, self.graph.shapes)
        return Box(*(evaluate(prefix, dict(self.constants), side) for side in box))
