"""How many images of a batch to bound at a time: as many as pay, for little memory."""

import torch

from glscert.verifier.bounds.device import gets
from glscert.verifier.bounds.extent import coefficients_of_all

from .architectures import Architecture
from .objective import Objective

BY_INTERVALS = ("ibp", "crown-ibp")  # relaxations that back-substitute no neurons


def images_kept(objective: Objective, net: Architecture, device: torch.device) -> int:
    """The most images whose bounds autograd may keep at one time."""
    weights = {name: torch.empty(shape, device="meta") for name, shape in net.parameters.items()}
    taken = 4 * coefficients_of_all(objective.graph, {**objective.constants, **weights}, device)
    many = objective.relaxation in BY_INTERVALS or taken == 0 or (device.type == "cpu" and objective.fused_program())
    return 1 << 30 if many else max(1, gets(device).kept // taken)


def images_at_once(kept: int, batch: int, device: torch.device) -> int:
    """Images per bound evaluation, a power of two; on a CPU at most half of a batch, for a second thread."""
    most = min(gets(device).images, kept, -(-batch // gets(device).chunks))
    return 1 << (most.bit_length() - 1)
