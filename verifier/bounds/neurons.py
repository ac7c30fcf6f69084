"""Both bounds of every neuron of a value, a part of them at a time where their forms would outgrow the cache."""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch

from ..graph import Graph
from ..ops import Box, Lines, Params
from ..ops.forms import identity, identity_bounds
from .backward import lower_bound
from .chains import all_compiled
from .device import gets
from .extent import coefficients
from .substitution import Anchor


def neuron_bounds(
    graph: Graph,
    params: Params,
    base: Anchor,
    name: str,
    lines: Mapping[str, Lines],
    until_stable: Mapping[str, Box] | None = None,
) -> Box:
    """Both bounds of every neuron of a value [B, *v]; `until_stable` as in `lower_bound`, for a value with one axis.

    On a CPU a few inputs at a time, or a few channels of one input, so that the forms stay in cache; all at once on a
    GPU, and where the program compiled for the chain below sees to that.
    """
    shape, point = graph.shapes[name], base.centres[graph.input]
    total, channels = len(point), shape[0] if len(shape) == 3 else prod(shape)
    size, width = total, channels
    tile = gets(point.device).tile
    if tile is not None and not all_compiled(graph, params, name, base.radii, point.device):
        room = tile // point.element_size() * channels // coefficients(graph, params, name)  # channels that fit
        size, width = min(total, max(1, room // channels)), min(channels, max(1, room))
    boxes = until_stable if until_stable and len(shape) == 1 else {}
    cuts = [_tiles(values, size, total) for values in (lines, base.centres, base.radii, boxes)]
    tiles = []
    for here, centres, radii, stop in zip(*cuts, strict=True):
        starts = [identity(shape, point, slice(first, first + width)) for first in range(0, channels, width)]
        rows = [lower_bound(graph, params, name, start, here, centres, radii, stop) for start in starts]
        bounds = [identity_bounds(bound, shape) for bound in rows]
        tiles.append(tuple(torch.cat(ends, 1) if len(ends) > 1 else ends[0] for ends in zip(*bounds, strict=True)))
    lower, upper = (torch.cat(ends) if len(ends) > 1 else ends[0] for ends in zip(*tiles, strict=True))
    return Box(lower.reshape(total, *shape), upper.reshape(total, *shape))


def _tiles(values: Mapping[str, Any], size: int, total: int) -> list[dict[str, Any]]:
    """Tensors, or tuples of them, cut along the batch axis."""

    def cut(value: Any, first: int) -> Any:
        if hasattr(value, "_make"):  # Lines, Box
            return value._make(None if part is None else part[first : first + size] for part in value)
        return value[first : first + size]

    return [{name: cut(value, first) for name, value in values.items()} for first in range(0, total, size)]
