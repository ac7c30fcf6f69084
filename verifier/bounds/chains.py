"""What runs training's inner loops: the program compiled for a chain of ReLUs and convolutions, or torch, operator by
operator. `chain_below` decides, and nothing else."""

from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Lines, Params, compiled
from ..ops.chain import Chain, Step
from ..ops.chain_rows import StepLines, substitution
from ..ops.forms import Form
from .device import gets


class Links(NamedTuple):
    """Inputs of the ReLUs from the first down, the convolutions that make them, and what both are like."""

    names: list[str]
    convolutions: list[Node]
    steps: list[Step]


def chain_below(graph: Graph, params: Params, name: str, radii: Container[str], device: torch.device) -> Links | None:
    """From the nonlinearity of the value `name` to a radius, for the compiled program; None: torch does it.

    So it is where there is no compiler, on a GPU, where anything but kinked functions and plain convolutions is in
    between, and where a value in between is read twice.
    """
    if not (gets(device).compiled and compiled.enabled()):
        return None
    producers, found = graph.producers(), Links([name], [], [])
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    while True:
        conv = producers.get(found.names[-1])
        if conv is None or conv.op != "Conv" or readers[found.names[-1]] > 1:
            return None
        below, attrs = conv.inputs[0], conv.attrs
        if attrs["group"] > 1 or tuple(attrs["dilations"]) != (1, 1):
            return None
        shape = tuple(params[conv.params[0]].shape)
        step = Step(graph.shapes[found.names[-1]], shape, tuple(attrs["strides"]), tuple(attrs["pads"][:2]))
        found.steps.append(step)
        found.convolutions.append(conv)
        if below in radii:
            return found
        above = producers.get(below)
        if above is None or isinstance(OPERATORS[above.op], Affine) or readers[below] > 1:
            return None
        found.names.append(above.inputs[0])


def all_compiled(graph: Graph, params: Params, name: str, radii: Container[str], device: torch.device) -> bool:
    """Whether forms over the value `name` meet no nonlinearity outside of a compiled chain."""
    producers = graph.producers()
    while (node := producers.get(name)) is not None and node.output not in radii:
        if len(node.inputs) != 1:
            return False
        name = node.inputs[0]
        if not isinstance(OPERATORS[node.op], Affine):
            return chain_below(graph, params, name, radii, device) is not None
    return True


def through_chain(
    graph: Graph,
    params: Params,
    form: Form,
    name: str,
    lines: Mapping[str, Lines],
    centres: Mapping[str, Tensor],
    radii: Mapping[str, Tensor],
) -> Callable[[Tensor | None], Tensor] | None:
    """All that is left of a form over the output of the nonlinearity of `name`, as a function of the rows that are
    wanted (`substitution`); None: by torch."""
    found = chain_below(graph, params, name, radii, form.coef.device)
    if found is None:
        return None
    end = found.convolutions[-1].inputs[0]
    rows = max(lines[value].lower_slope.shape[1] for value in found.names)  # 1, or each has slopes of its own
    if any(lines[value].upper_slope.shape[1] != 1 for value in found.names) or (rows > 1 and form.window is not None):
        return None
    weights, step_lines = [], []
    for value, conv in zip(found.names, found.convolutions, strict=True):
        weight, *bias = (params[parameter] for parameter in conv.params)
        low, start, up, upper = lines[value]
        # where the rest is affine its value at the centre stands for all of it; else the bias is all there is
        point = centres[value].unsqueeze(1) if value in centres else bias[0][:, None, None] if bias else None
        if point is not None:
            upper = torch.addcmul(upper, up, point)
            start = low * point if start is None else torch.addcmul(start, low, point)
        elif start is None:
            start = torch.zeros_like(low)
        weights.append(weight)
        if rows == 1:
            low, start = low.squeeze(1), start.squeeze(1)
        else:
            low, start = (part.expand(-1, rows, *part.shape[2:]) for part in (low, start))
        step_lines.append(StepLines(low, up.squeeze(1), start, upper.squeeze(1)))
    chain = Chain(tuple(found.steps), graph.shapes[end], form.window, rows > 1)
    return substitution(chain, form, step_lines, weights, radii[end])
