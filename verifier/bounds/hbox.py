"""HBox, the hybrid zonotope (Mirman et al. 2018): what the input box does to a value v is kept in two parts,

    v  in  h + E [-1, 1]^n + [-b, b]        bounds of v: h -+ (|E| 1 + b)

correlated generators E, one for each input entry, and a deviation b >= 0 of each entry of v by itself. An affine map L
gives L h, L E and |L| b. A nonlinearity that is the identity over the bounds [l, u] of a neuron keeps all three; any
other (a ReLU with l < 0) gives up the generators: h and b become centre and half-width of its interval image.

E is never written down. It is linear in the input between the neurons kept, so |E| 1 comes from back-substitution
through the lines z (kept) and h (not kept), and only b is propagated forwards.
"""

import torch
from torch import Tensor

from ..graph import Graph
from ..ops import OPERATORS, Affine, Box, Lines, Nonlinear, Params
from .backward import lower_bound
from .interval import ball, exact_values
from .neurons import neuron_bounds
from .specification import Bounds, Spec
from .substitution import Anchor, anchor, spec_bound, spec_rows


def hbox(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """The rows are merged with the last affine layers, as in IBP: no bound is worse than IBP's."""
    base = anchor(graph, params, box)
    exact = exact_values(graph)
    pre: dict[str, Box] = {}
    lines: dict[str, Lines] = {}
    deviations = {graph.input: torch.zeros_like(box.lower)}
    for node in graph.nodes:
        below = [deviations[name] for name in node.inputs]
        operator = OPERATORS[node.op]
        if isinstance(operator, Affine):
            deviations[node.output] = operator.spread(node, params, *below)
            continue
        name = node.inputs[0]
        if name not in pre:
            pre[name] = base.boxes[name] if name in exact else _box(graph, params, base, name, lines, below[0])
        lines[name], deviations[node.output] = _through(
            operator, operator.interval(node, params, pre[name]), pre[name], below[0]
        )
    lower = spec_bound(graph, params, base, spec, lines)
    return Bounds(lower + _least_deviation(graph, params, spec, deviations), pre)


def _box(graph: Graph, params: Params, base: Anchor, name: str, lines: dict[str, Lines], deviation: Tensor) -> Box:
    generators = neuron_bounds(graph, params, base, name, lines)
    return Box(generators.lower - deviation, generators.upper + deviation)


def _through(operator: Nonlinear, image: Box, box: Box, deviation: Tensor) -> tuple[Lines, Tensor]:
    """Lines of a nonlinearity for head and generators, and the deviation of its output."""
    kept = operator.passes(box).to(deviation.dtype)
    centre, radius = ball(image)
    slope, start = kept.unsqueeze(1), ((1 - kept) * centre).unsqueeze(1)
    return Lines(slope, start, slope, start), kept * deviation + (1 - kept) * radius


def _least_deviation(graph: Graph, params: Params, spec: Spec, deviations: dict[str, Tensor]) -> Tensor:
    """-|A| b [B, M] for the rows carried to the last nonlinearities' outputs and to the input."""
    ends = {node.output for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)} | {graph.input}
    radii = {name: deviations[name] for name in ends}
    heads = {name: torch.zeros_like(deviation) for name, deviation in deviations.items()}  # no constants are wanted
    return lower_bound(graph, params, graph.output, spec_rows(spec), {}, heads, radii)
