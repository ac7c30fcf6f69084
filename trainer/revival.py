"""Channels that do nothing start anew, as halves of the busiest one; the network stays what it is.

While eps grows, a channel of a narrow layer whose upper bound falls to 0 on every image has no gradient any more and is
lost; another shrinks to a constant. Such a channel becomes a copy of the one that counts most, which shares its
outgoing weights with it (Net2WiderNet, Chen et al., 2016): neither output nor bounds change. Their incoming weights are
then drawn apart, one up by what the other goes down, so that both learn something else.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from glscert.verifier.graph import Graph, Node

from .architectures import Architecture
from .evaluation import Params

Shape = tuple[int, ...]
APART = 0.3  # standard deviation of the relative change of an incoming weight
MIXES = ("Conv", "Gemm")
NOTHING = 0.01  # of the busiest channel's influence
KEEP_CHANNELS = ("Flatten", "Reshape", "AveragePool", "MaxPool", "GlobalAveragePool")


class Between(NamedTuple):
    """A hidden layer's trainable weights: those that enter its channels, and those that leave them."""

    entering: tuple[str, ...]  # weight [C, ...], bias [C] where there is one
    leaving: str  # weight [O, C * n, ...], n entries of a channel side by side
    bias: str | None  # [O], of the layer above


def revive(
    net: Architecture, params: Params, moments: Params, ends: Mapping[str, Tensor], generator: torch.Generator
) -> tuple[Params, Params, dict[str, list[int]]]:
    """Parameters and moments with the channels revived that do nothing, and their numbers by layer.

    `ends` are the bounds before each ReLU, see `channels.ends`. A constant other than 0 stays where the layer above has
    no bias to take it; layers stay that are not between two convolutions or products of one path, or in which no
    channel does anything. `generator` is on the CPU.
    """
    params = {name: value.clone() for name, value in params.items()}
    moments = {name: value.clone() for name, value in moments.items()}
    revived = dict[str, list[int]]()
    for name, pair in between(net).items():
        if name not in ends:
            continue
        lower, upper = ends[name].relu()
        busy = [a * b for a, b in zip((upper - lower).tolist(), _leaving_weights(params, pair), strict=True)]
        lost = NOTHING * max(busy)
        idle = [c for c, influence in enumerate(busy) if influence < lost and (pair.bias or upper[c] == 0)]
        for channel in idle:
            _fold(params, pair, channel, float(lower[channel] + upper[channel]) / 2)
            busiest = busy.index(max(busy))
            busy[busiest] = busy[channel] = busy[busiest] / 2
            for group in (params, moments):
                _copy(group, net.parameters, pair, busiest, channel)
            _by_channel(params[pair.leaving], len(busy))[:, [busiest, channel]] /= 2
            for entering in pair.entering:
                value = params[entering]
                shift = APART * torch.randn(value[channel].shape, generator=generator).to(value.device)
                value[channel] *= 1 + shift
                value[busiest] *= 1 - shift
        if idle:
            revived[name] = idle
    return params, moments, revived


def between(net: Architecture) -> dict[str, Between]:
    """The layers whose channels can be split, by the name of the node before their ReLU."""
    graph, found = net.graph, dict[str, Between]()
    producers = graph.producers()
    for node in graph.nodes:
        before = producers.get(node.inputs[0]) if node.op == "Relu" else None
        after = _leaving(graph, node)
        if before is None or after is None or not (_mixes(before) and _mixes(after)):
            continue
        names = (*before.params, *after.params)
        once = all(sum(name in other.params for other in graph.nodes) == 1 for name in names)
        if once and all(name in net.parameters for name in names) and _readers(graph, before.output) == [node]:
            found[before.name] = Between(
                before.params, after.params[0], after.params[1] if len(after.params) > 1 else None
            )
    return found


def _mixes(node: Node) -> bool:
    return node.op in MIXES and node.attrs.get("group", 1) == 1


def _leaving(graph: Graph, relu: Node) -> Node | None:
    """The only node that reads a ReLU's channels and does not leave them apart; None: there is no such."""
    value, channels = relu.output, graph.shapes[relu.output][0]
    while value != graph.output and len(readers := _readers(graph, value)) == 1:
        (node,) = readers
        if node.op not in KEEP_CHANNELS:
            return node
        value = node.output
        if len(graph.shapes[value]) > 1 and graph.shapes[value][0] != channels:
            return None
    return None


def _readers(graph: Graph, value: str) -> list[Node]:
    return [node for node in graph.nodes if value in node.inputs]


def _leaving_weights(params: Params, pair: Between) -> list[float]:
    """Sum of |weights that leave| of each channel."""
    return _by_channel(params[pair.leaving], len(params[pair.entering[0]])).abs().sum((0, 2)).tolist()


def _fold(params: Params, pair: Between, channel: int, constant: float) -> None:
    """What a channel that is `constant` adds to the layer above, moved to its bias; at padded edges only nearly."""
    if pair.bias is not None:
        weights = _by_channel(params[pair.leaving], len(params[pair.entering[0]]))
        params[pair.bias] += constant * weights[:, channel].sum(1)


def _by_channel(leaving: Tensor, channels: int) -> Tensor:
    """Weights that leave a layer, as [O, C, n]; what is written there is written into them."""
    return leaving.view(len(leaving), channels, math.prod(leaving.shape[1:]) // channels)


def _copy(group: Params, shapes: Mapping[str, Shape], pair: Between, source: int, to: int) -> None:
    """In everything that has a parameter's shape, of the network or of the optimiser."""
    for name, value in group.items():
        own = name.rsplit("/", 1)[-1]
        if own not in (*pair.entering, pair.leaving) or value.shape != shapes[own]:
            continue
        if own in pair.entering:
            value[to] = value[source]
        else:
            by_channel = _by_channel(value, shapes[pair.entering[0]][0])
            by_channel[:, to] = by_channel[:, source]
