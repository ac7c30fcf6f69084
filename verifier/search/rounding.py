"""How far above zero a float64 bound must lie to count as a proof.

    needed = max(1e-9 · largest bound of an unstable pre-activation, 1e-12 · largest |W_k| … |W_1| |x| + biases)

The second term is what the rounding errors of a back-substitution grow with, cancellation included (Higham 2002,
section 3.1: a sum of n products errs by at most n·u times the sum of their magnitudes, u = 1.1e-16). A stated margin,
not an error analysis: that is in bounds/errors.py, for where coefficients are known. Through many layers the margin
grows with the product of all their weights.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..bounds.ball import CutBall
from ..bounds.errors import magnitude, summed
from ..bounds.interval import nonlinearities
from ..graph import Graph
from ..ops import OPERATORS, Affine, Box, Params

ROUNDING_MARGIN = 1e-9  # of the bounds' own size
PATHS_MARGIN = 1e-12  # of the size they would have without any cancellation


def rounding_margins(
    graph: Graph, params: Params, box: Box, pre: Mapping[str, Box], ball: CutBall | None = None
) -> Tensor:
    """The margin [B] of every input of the box [B, *v], or of the part of it that the ball is cut to; infinite where a
    bound is not a finite number."""
    largest, operators = [torch.ones(len(box.lower), dtype=box.lower.dtype)], nonlinearities(graph)
    for name, known in pre.items():
        # elsewhere the lines are exact, whatever the box
        size = magnitude(known)
        largest.append(size.where(operators[name].unstable(known) | ~size.isfinite(), 0.0).flatten(1).amax(1))
    return margins_of(torch.stack(largest).amax(0), largest_paths(graph, params, box, ball))


def margins_of(largest: Tensor, paths: Tensor) -> Tensor:
    """The margins [B], from the largest magnitude of a pre-activation bound and `largest_paths`."""
    margins = torch.maximum(ROUNDING_MARGIN * largest.clamp(min=1), PATHS_MARGIN * paths)
    return torch.where(margins.isfinite(), margins, torch.inf)


def largest_paths(graph: Graph, params: Params, box: Box, ball: CutBall | None = None) -> Tensor:
    """The second term's magnitude [B]; that of a box within another is no larger.

    A dual norm sums |A| · radius, and the radius may reach beyond the box.
    """
    return path_magnitudes(graph, params, _reach(box, ball))[graph.output].flatten(1).amax(1)


def multiplier_margins(
    graph: Graph, params: Params, box: Box, pre: Mapping[str, Box], ball: CutBall | None = None
) -> Tensor:
    """What a split's multiplier of one adds to the margin [B]: the neuron's value is in the bound, with its errors."""
    values = path_magnitudes(graph, params, _reach(box, ball))
    paths = torch.stack([values[name].flatten(1).amax(1) for name in pre]).amax(0)
    largest = torch.stack([magnitude(known).flatten(1).amax(1) for known in pre.values()]).amax(0)
    return margins_of(largest, paths)


def path_magnitudes(graph: Graph, params: Params, reach: Tensor) -> dict[str, Tensor]:
    """|W_k| (… (|W_1| m + |b_1|) …) + |b_k| at every value [B, *v], for magnitudes m [B, *v] of the input."""
    values = {graph.input: reach}
    for node in graph.nodes:
        operator, inputs = OPERATORS[node.op], [values[name] for name in node.inputs]
        if not isinstance(operator, Affine):
            values[node.output] = magnitude(operator.interval(node, params, Box(-inputs[0], inputs[0])))
        else:
            values[node.output] = summed(graph, params, node, operator, inputs)
    return values


def _reach(box: Box, ball: CutBall | None) -> Tensor:
    return magnitude(box) if ball is None else magnitude(box) + ball.radius
