"""Channels that do no work: dead ones are 0 on every image, always active ones are linear.

Told from interval bounds before each ReLU, at the final eps, on some training images; of a dense layer each unit counts
as a channel. A few are common in a network that trains well; narrow layers that lose most of them do not recover.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
def ends(
    objective: Objective, params: Params, images: Tensor | Pixels, labels: Tensor, eps: float, chunk: int
) -> dict[str, Tensor]:
    """Least lower and greatest upper bound [2, channels] before each ReLU, in order, by the name of the node before it.

    Of at most `IMAGES` of the images [N, *v], `chunk` at a time.
    """
    chosen = torch.arange(0, len(labels), -(-len(labels) // IMAGES), device=labels.device)
    found: dict[str, Tensor] = {}
    for part in chosen.split(chunk):
        for name, box in objective.bounds(params, images[part], labels[part], eps, "ibp").pre.items():
            lower = box.lower.transpose(0, 1).flatten(1).amin(1)
            upper = box.upper.transpose(0, 1).flatten(1).amax(1)
            known = found.get(name, torch.stack([lower, upper]))
            found[name] = torch.stack([torch.minimum(known[0], lower), torch.maximum(known[1], upper)])
    before = {node.output: node.name for node in objective.graph.nodes}
    relus = [node for node in objective.graph.nodes if node.op == "Relu" and node.inputs[0] in found]
    return {before.get(node.inputs[0], node.name): found[node.inputs[0]] for node in relus}


def survey(known: Mapping[str, Tensor]) -> list[Layer]:
    """The layers that `ends` found."""
    layers = []
    for name, (lower, upper) in known.items():
        dead = upper <= 0
        numbers = (mask.nonzero().flatten().tolist() for mask in (dead, (lower >= 0) & ~dead))
        layers.append(Layer(name, len(lower), *numbers))
    return layers


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
