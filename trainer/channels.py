"""Channels that do no work: dead ones are 0 on every image, always active ones are linear.

Told from interval bounds before each ReLU, at the final eps, on some training images; of a dense layer each unit counts
as a channel. A few are common in a network that trains well; narrow layers that lose most of them do not recover.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .distributed import Group
from .evaluation import Params
from .objective import Objective
from .pixels import Pixels

IMAGES = 1000  # looked at


class Layer(NamedTuple):
    """What a layer before a ReLU has: channels in all, numbers of those that are dead, and always active."""

    name: str
    channels: int
    dead: list[int]
    active: list[int]

    @property
    def idle(self) -> bool:
        """Whether half of it or more is dead, or none of it nonlinear any more."""
        return 2 * len(self.dead) >= self.channels or len(self.dead) + len(self.active) == self.channels


@torch.no_grad()
def survey(
    objective: Objective, params: Params, images: Tensor | Pixels, labels: Tensor, eps: float, chunk: int
) -> list[Layer]:
    """The layers before ReLUs, in order, on at most `IMAGES` of the images [N, *v], `chunk` at a time."""
    chosen = torch.arange(0, len(labels), -(-len(labels) // IMAGES), device=labels.device)
    ends: dict[str, tuple[Tensor, Tensor]] = {}
    for part in chosen.split(chunk):
        for name, box in objective.bounds(params, images[part], labels[part], eps, "ibp").pre.items():
            lower = box.lower.transpose(0, 1).flatten(1).amin(1)
            upper = box.upper.transpose(0, 1).flatten(1).amax(1)
            known = ends.get(name, (lower, upper))
            ends[name] = torch.minimum(known[0], lower), torch.maximum(known[1], upper)
    before = {node.output: node.name for node in objective.graph.nodes}
    found = []
    for node in objective.graph.nodes:
        if node.op != "Relu" or node.inputs[0] not in ends:
            continue
        lower, upper = ends[node.inputs[0]]
        dead = upper <= 0
        numbers = (mask.nonzero().flatten().tolist() for mask in (dead, (lower >= 0) & ~dead))
        found.append(Layer(before.get(node.inputs[0], node.name), len(lower), *numbers))
    return found


def agreed(layers: list[Layer], group: Group) -> list[Layer]:
    """With the dead channels that the first process found, in all."""
    counts = {layer.name: torch.zeros(layer.channels) for layer in layers}
    if group.leads:
        for layer in layers:
            counts[layer.name][layer.dead] = 1.0
    counts = group.add(counts)
    return [layer._replace(dead=counts[layer.name].nonzero().flatten().tolist()) for layer in layers]


def as_record(layers: list[Layer]) -> dict[str, Any]:
    """What an epoch's record says of them: layers by name, those left out that have no such channel."""
    return {
        "channels": {layer.name: layer.channels for layer in layers},
        "dead_channels": {layer.name: layer.dead for layer in layers if layer.dead},
        "active_channels": {layer.name: layer.active for layer in layers if layer.active},
    }


def from_record(record: Mapping[str, Any]) -> list[Layer]:
    """The layers that a record names; none where it says nothing of them."""
    dead, active = record.get("dead_channels", {}), record.get("active_channels", {})
    return [Layer(name, n, dead.get(name, []), active.get(name, [])) for name, n in record.get("channels", {}).items()]
