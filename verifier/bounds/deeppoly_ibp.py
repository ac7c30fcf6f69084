"""DeepPoly intersected with IBP, as in CTBench (Mao et al. 2024, arXiv:2406.04848), the library of the paper's authors.

CTBench also takes a bound at every layer that a back-substitution passes and keeps the best. Of these only the first
is here, at the layer right below, which gives IBP's. Each of the others is as much work as the end of a
back-substitution, over forms that are otherwise never written to memory.
"""

import torch

from ..graph import Graph
from ..ops import Box, Params
from .ibp import ibp_from_boxes
from .interval import Intervals, affine_values, below_nonlinear
from .preactivations import preactivations
from .specification import Bounds, Spec
from .substitution import anchor_at, spec_bound


def deeppoly_ibp(graph: Graph, params: Params, box: Box, spec: Spec) -> Bounds:
    """Every pre-activation is the intersection of IBP's box and of DeepPoly's over the boxes so intersected before.

    Nowhere worse than IBP; no worse than DeepPoly up to the second layer of nonlinearities. After it there is no such
    order: a smaller box may turn a lower line of least area to the other side.
    """
    names = below_nonlinear(graph) | affine_values(graph)
    known = Intervals(graph, params, box, names)
    interval = ibp_from_boxes(graph, params, {name: known.box(name) for name in names}, spec)
    base = anchor_at(graph, known)
    pre, lines = preactivations(graph, params, base, within=interval.pre)
    lower = spec_bound(graph, params, base, spec, lines)
    return Bounds(torch.maximum(lower, interval.lower), pre)
