"""The boxes of the nonlinearities' inputs, each by back-substitution through the lines of those before it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import Box, Lines, Params
from .interval import exact_values, nonlinearities
from .neurons import neuron_bounds
from .substitution import Anchor


def preactivations(
    graph: Graph,
    params: Params,
    base: Anchor,
    *,
    slopes: Mapping[str, Tensor] | None = None,
    every_box: bool = True,
    within: Mapping[str, Box] | None = None,
) -> tuple[dict[str, Box], dict[str, Lines]]:
    """DeepPoly's box of every nonlinearity's input, by value name, and its lines there; the interval image where that
    is exact.

    slopes, every_box: as in `deeppoly`. within: boxes that each is intersected with before its lines are taken.
    """
    exact, pre, lines = exact_values(graph), dict[str, Box](), dict[str, Lines]()
    for name, operator in nonlinearities(graph).items():
        if name in exact:
            pre[name] = base.boxes[name]
        else:
            until_stable = None if every_box or not operator.kinked else pre
            pre[name] = neuron_bounds(graph, params, base, name, lines, until_stable=until_stable)
            if within is not None:
                (lower, upper), (least, most) = pre[name], within[name]
                pre[name] = Box(torch.maximum(lower, least), torch.minimum(upper, most))
        lines[name] = operator.lines(pre[name], slopes.get(name) if slopes else None)
    return pre, lines
