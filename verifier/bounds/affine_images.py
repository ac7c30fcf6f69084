"""Exact boxes of values affine in the input, over a ball: every entry's own row meets the ball itself.

Interval arithmetic would begin at the box around the ball, and lose the ball's shape before the first nonlinearity.
"""

from ..graph import Graph
from ..ops import Params
from .interval import affine_values, separate_values
from .neurons import neuron_bounds
from .substitution import Anchor


def with_affine_images(graph: Graph, params: Params, base: Anchor) -> Anchor:
    """The anchor of a ball with the boxes of all affine values that others than affine ones are computed from."""
    affine, boxes = affine_values(graph), dict(base.boxes)
    readers = [node for node in graph.nodes if node.output not in affine]
    for name in dict.fromkeys(name for node in readers for name in node.inputs):
        if name in affine and name not in separate_values(graph):
            boxes[name] = neuron_bounds(graph, params, base, name, {})
    return base._replace(boxes=boxes)
