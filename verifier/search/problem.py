"""One specification row over one input box: what branch and bound decides."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..bounds import Spec
from ..bounds.substitution import Anchor, anchor
from ..graph import Graph
from ..ops import Box, Params


@dataclass(frozen=True)
class Problem:
    """To prove: row · y + offset > 0 on the box. All tensors float64, without a batch axis; `pre` from DeepPoly.

    owner: number of the input; number: of the row among that input's.
    """

    owner: int
    number: int
    box: Box
    row: Tensor
    offset: Tensor
    pre: dict[str, Box]


class Batch(NamedTuple):
    """Problems stacked for the bound engine, in one dtype."""

    params: Params
    base: Anchor
    spec: Spec
    pre: dict[str, Box]


def batch(graph: Graph, params: Params, problems: list[Problem], dtype: torch.dtype) -> Batch:
    """One row per problem: box and pre [D, *v], spec rows [D, 1, K]."""

    def stack(tensors: list[Tensor]) -> Tensor:
        return torch.stack(tensors).to(dtype)

    cast = {name: value.to(dtype) for name, value in params.items()}
    box = Box(stack([p.box.lower for p in problems]), stack([p.box.upper for p in problems]))
    spec = Spec(stack([p.row for p in problems]).unsqueeze(1), stack([p.offset for p in problems]).unsqueeze(1))
    pre = {
        name: Box(stack([p.pre[name].lower for p in problems]), stack([p.pre[name].upper for p in problems]))
        for name in problems[0].pre
    }
    return Batch(cast, anchor(graph, cast, box), spec, pre)
