"""Starting weights.

"fast" (Shi et al., 2021): every weight but the last layer's ~ N(0, 2 pi / fan_in^2), which keeps IBP's boxes from
growing with depth. "kaiming" (He et al., 2015): every weight ~ U(+-sqrt(6 / fan_in)). What neither names (biases;
the last weight under "fast") is PyTorch's default, U(+-1/sqrt(fan_in)), as in the authors' code.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .architectures import Architecture


def fast(architecture: Architecture, generator: torch.Generator) -> dict[str, Tensor]:
    """Parameters by name, float32, drawn in layer order from `generator` (its device is theirs)."""
    last = architecture.weights[-1]

    def draw(name: str, shape: tuple[int, ...], fan_in: int) -> Tensor:
        if name == last:
            return _uniform(shape, 1 / math.sqrt(fan_in), generator)
        return torch.randn(shape, generator=generator, device=generator.device) * (math.sqrt(2 * math.pi) / fan_in)

    return _initialise(architecture, generator, draw)


def kaiming(architecture: Architecture, generator: torch.Generator) -> dict[str, Tensor]:
    """Parameters by name, float32, drawn in layer order from `generator` (its device is theirs)."""
    return _initialise(
        architecture, generator, lambda name, shape, fan_in: _uniform(shape, math.sqrt(6 / fan_in), generator)
    )


def _initialise(
    architecture: Architecture,
    generator: torch.Generator,
    draw_weight: Callable[[str, tuple[int, ...], int], Tensor],
) -> dict[str, Tensor]:
    params: dict[str, Tensor] = {}
    fan_in = 1
    for name, shape in architecture.parameters.items():
        if len(shape) > 1:
            fan_in = math.prod(shape[1:])
            params[name] = draw_weight(name, shape, fan_in)
        else:  # a bias follows its weight
            params[name] = _uniform(shape, 1 / math.sqrt(fan_in), generator)
    return params


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator, device=generator.device) * 2 - 1) * bound


INITIALISATIONS: dict[str, Callable[[Architecture, torch.Generator], dict[str, Tensor]]] = {
    "fast": fast,
    "kaiming": kaiming,
}
