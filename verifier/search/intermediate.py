"""Pre-activation boxes as a verifier wants them: back-substitution for the unstable neurons only.

Where the interval image of a neuron's input already keeps one sign, its ReLU is exact and no tighter box would change
anything further on (`Nonlinear.unstable` says where). The rest get DeepPoly's bounds, intersected with the interval.
"""

from math import prod

import torch
from torch import Tensor

from ..bounds.backward import lower_bound
from ..bounds.extent import coefficients
from ..bounds.interval import exact_values, image
from ..bounds.substitution import Anchor, relax
from ..graph import Graph
from ..ops import OPERATORS, Box, Nonlinear, Params
from ..ops.forms import neurons

_FORMS = 1 << 27  # bytes of one form over a value, of the few that are alive together


def unstable_preactivations(graph: Graph, params: Params, base: Anchor) -> dict[str, Box]:
    """The box [B, *v] of every nonlinearity's input, by value name."""
    exact = exact_values(graph)
    boxes = dict(base.boxes)
    pre: dict[str, Box] = {}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        if isinstance(operator, Nonlinear) and node.inputs[0] not in pre:
            name = node.inputs[0]
            if name not in exact:
                boxes[name] = _refined(graph, params, base, name, operator, boxes[name], pre)
            pre[name] = boxes[name]
        if node.output not in boxes:
            boxes[node.output] = image(node, params, boxes)
    return pre


def _refined(
    graph: Graph, params: Params, base: Anchor, name: str, operator: Nonlinear, box: Box, pre: dict[str, Box]
) -> Box:
    index = _unstable(operator.unstable(box))
    if index.shape[1] == 0:
        return box
    shape, lines = graph.shapes[name], relax(graph, pre)
    widest = coefficients(graph, params, name) // prod(shape)  # for both rows of a neuron
    width = max(1, _FORMS // (widest * len(index) * box.lower.element_size()))
    rows = torch.cat(
        [
            lower_bound(graph, params, name, neurons(shape, part, box.lower), lines, base.centres, base.radii)
            for part in index.split(width, 1)
        ],
        1,
    )
    lower, minus_upper = rows.unflatten(1, (-1, 2)).unbind(2)
    return Box(
        box.lower.flatten(1).scatter_reduce(1, index, lower, "amax").reshape(box.lower.shape),
        box.upper.flatten(1).scatter_reduce(1, index, -minus_upper, "amin").reshape(box.upper.shape),
    )


def _unstable(unstable: Tensor) -> Tensor:
    """Flat indices [B, n] of each input's unstable neurons; shorter lists are filled up with stable ones."""
    unstable = unstable.flatten(1)
    most = int(unstable.sum(1).max())
    return torch.sort(unstable.to(torch.uint8), dim=1, descending=True, stable=True).indices[:, :most]
