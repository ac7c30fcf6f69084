"""IBP with the upper bounds of unstable neurons shrunk before each ReLU (Müller et al., 2023, for small radii).

    u <- s u   where l < 0 < u

Bounds no more, but estimates that training may minimise; hence here and not among the relaxations.
"""

from torch import Tensor

from glscert.verifier.bounds import Bounds, Box, margin_spec
from glscert.verifier.bounds.ibp import ibp_from_boxes
from glscert.verifier.bounds.interval import image
from glscert.verifier.ops import OPERATORS, Nonlinear

from .evaluation import Params
from .objective import Objective


def shrunk_ibp(objective: Objective, params: Params, box: Box, y: Tensor, shrinkage: float) -> Bounds:
    """Margins of y [B] over the box [B, *v]; `pre` are the boxes before they are shrunk."""
    graph, weights = objective.graph, {**objective.constants, **params}
    boxes = {graph.input: box}
    for node in graph.nodes:
        inputs = {name: boxes[name] for name in node.inputs}
        if isinstance(OPERATORS[node.op], Nonlinear):
            inputs = {name: shrink(found, shrinkage) for name, found in inputs.items()}
        boxes[node.output] = image(node, weights, inputs)
    return ibp_from_boxes(graph, weights, boxes, margin_spec(y, objective.classes, box.lower.dtype))


def shrink(box: Box, shrinkage: float) -> Box:
    """A box [B, *v] before a ReLU, its upper ends multiplied by `shrinkage` where it contains both signs."""
    crossing = ((box.lower < 0) & (box.upper > 0)).to(box.upper.dtype)
    return Box(box.lower, box.upper * (1 - (1 - shrinkage) * crossing))
