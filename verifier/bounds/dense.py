"""A network as dense layers with ReLUs between them, where it is nothing else."""

from math import prod

import torch
from torch import Tensor

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Params
from ..ops.dense import DenseLayer
from ..ops.forms import Form, plus, whole

MOST_ENTRIES = 1 << 20  # of a layer's matrix, and on the way to it: convolutions written out grow fast
_MOST_SPELLED = 1 << 11  # outputs of a layer whose rows begin as those of the identity


def dense_layers(graph: Graph, params: Params) -> list[DenseLayer] | None:
    """The affine layers from the input to the output, a ReLU after each but the last; params float64.

    None where the network has another nonlinearity, branches that meet after one, no ReLU at all, or a matrix of more
    than `MOST_ENTRIES` entries.
    """
    layers, source, segment = [], graph.input, list[Node]()
    for node in graph.nodes:
        if node.op == "Relu" and node.inputs[0] != source:
            layer = _matrix(graph, params, segment, source, node.inputs[0])
            if layer is None:
                return None
            layers.append(layer)
            source, segment = node.output, []
        elif isinstance(OPERATORS[node.op], Affine):
            segment.append(node)
        else:
            return None
    last = _matrix(graph, params, segment, source, graph.output)
    return None if last is None or not layers else [*layers, last]


def _matrix(graph: Graph, params: Params, nodes: list[Node], source: str, output: str) -> DenseLayer | None:
    """The affine map from `source` to `output`; None where it reads anything else, or is too large."""
    shape = graph.shapes[source]
    outputs, known = prod(graph.shapes[output]), {source} | {node.output for node in nodes}
    widest = max(prod(graph.shapes[name]) for name in known - {output} | {source})  # what the rows pass through
    if widest * outputs > MOST_ENTRIES or output not in known or any(not known.issuperset(n.inputs) for n in nodes):
        return None
    like = next(iter(params.values()), torch.zeros((), dtype=torch.float64))  # no weights: ReLUs alone
    values: dict[str, Tensor] = {source: like.new_zeros(1, *shape)}
    for node in nodes:
        values[node.output] = OPERATORS[node.op].forward(node, params, *(values[name] for name in node.inputs))
    # rows of the identity carried back, of a product its matrix to begin with
    last = nodes[-1] if nodes and nodes[-1].output == output and nodes[-1].op == "Gemm" else None
    if last is None:
        if outputs > _MOST_SPELLED:
            return None
        weight = _rows(graph, params, nodes, source, output, torch.eye(outputs, dtype=like.dtype))
    else:
        weight = _rows(graph, params, nodes[:-1], source, last.inputs[0], params[last.params[0]])
    return DenseLayer(weight, values[output].flatten())


def _rows(graph: Graph, params: Params, nodes: list[Node], source: str, output: str, rows: Tensor) -> Tensor:
    """rows [R, entries] over the value `output` as rows over `source`."""
    forms, shape = {output: Form(rows[None, None])}, graph.shapes[source]
    for node in reversed(nodes):
        if node.output not in forms:
            continue
        shapes = tuple(graph.shapes[name] for name in node.inputs)
        operator, out = OPERATORS[node.op], graph.shapes[node.output]
        if not isinstance(operator, Affine):
            raise TypeError(f"{node.op} is not affine")
        below = operator.backward(node, params, forms.pop(node.output), shapes, out)
        for name, part in zip(node.inputs, below, strict=True):
            forms[name] = plus(forms.get(name), part, graph.shapes[name])
    return whole(forms[source], shape).coef[0, 0]
