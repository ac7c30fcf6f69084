"""What halving an input's width would gain a row, to first order.

    sum over neurons z of  |A_z| · (gap's decrease per width) · |G_zi|

A_z is the coefficient that met the lines of z, G_zi how far z moves as input i goes from its middle to its end. The gap
-l u / (u - l) of a ReLU falls by (l² + u²) / (u - l)² for each unit that both ends come in; that of a smooth function
grows as the square of the width. How far an input moves the row says little of this: it may do so linearly.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from ..bounds.beta_crown import look, start_dual
from ..bounds.interval import nonlinearities
from ..bounds.specification import Spec
from ..bounds.substitution import input_anchor
from ..bounds.zonotope import input_zonotope, through
from ..graph import Graph
from ..ops import Box, Nonlinear, Params

_ROOM = 1 << 26  # bytes of a value's generators


def gains(
    graph: Graph,
    params: Params,
    box: Box,
    pre: Mapping[str, Box],
    rows: Tensor,
    errors: Mapping[str, Tensor],
) -> tuple[Tensor, Tensor]:
    """[D, R, n] for rows [D, R, K] over boxes [D, n]; pre: boxes [D, *v] of the nonlinearities' inputs. Also the sums
    [D, R] of errors [D, *v] by the coefficients that met the lines."""
    largest = max(prod(shape) for shape in graph.shapes.values())
    size = max(1, _ROOM // (8 * largest * max(box.lower.shape[1], rows.shape[1])))
    found = []
    for part in torch.arange(len(rows)).split(size):
        own = Box(*(end[part].reshape(-1, *graph.input_shape) for end in box))
        inside = {name: Box(*(end[part] for end in known)) for name, known in pre.items()}
        given = {name: error[part].flatten(1) for name, error in errors.items()}
        found.append(_gains(graph, params, own, inside, rows[part], given))
    gained, erring = zip(*found, strict=True)
    return torch.cat(gained), torch.cat(erring)


def _gains(
    graph: Graph, params: Params, box: Box, pre: dict[str, Box], rows: Tensor, errors: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    free = ((box.upper - box.lower) / 2 > 0).flatten(1).any(0).nonzero().flatten()
    gained, erring = rows.new_zeros(*rows.shape[:2], prod(graph.input_shape)), rows.new_zeros(rows.shape[:2])
    if not pre:
        return gained, erring
    spec, base = Spec(rows, rows.new_zeros(rows.shape[:2])), input_anchor(graph, params, box)
    operators, dual = nonlinearities(graph), start_dual(graph, pre, rows.shape[1])
    met = look(graph, params, base, spec, pre, dual, None).met
    for name, error in errors.items():
        erring += (met[name].abs().flatten(2) @ error.unsqueeze(2)).squeeze(2)
    values = {graph.input: input_zonotope(box)}
    for node in graph.nodes if len(free) else ():
        values[node.output] = through(graph, params, node, values, pre.get(node.inputs[0]))
    for name, operator in operators.items() if len(free) else ():
        weight = met[name].abs().flatten(2) * _rate(operator, pre[name]).flatten(1).unsqueeze(1)
        gained[:, :, free] += weight @ values[name].generators.flatten(2).abs().transpose(1, 2) / 2
    return gained, erring


def _rate(operator: Nonlinear, box: Box) -> Tensor:
    """What the gap between a nonlinearity's lines loses, by unit of width on either side [B, *v]."""
    lower, upper = box
    width = (upper - lower).clamp(min=1e-30)
    if operator.kinked:
        rate = (lower.square() + upper.square()) / width.square()
    else:
        lines = operator.lines(box, None)
        start = 0.0 if lines.lower_start is None else lines.lower_start.squeeze(1)
        gaps = [
            (lines.upper_slope - lines.lower_slope).squeeze(1) * end + lines.upper_start.squeeze(1) - start
            for end in box
        ]
        rate = (gaps[0] + gaps[1]) / width
    return torch.where(operator.unstable(box), rate, 0.0)
