"""Input boxes and specification rows. A specification is rows C·y + d, each to be proved > 0 on the whole box."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..ops import Box


class Spec(NamedTuple):
    """`rows` [B|1, M, K] and `offset` [B|1, M]: to prove rows · y + offset > 0."""

    rows: Tensor
    offset: Tensor


class Bounds(NamedTuple):
    """`lower` [B, M] of the specification rows; `pre` holds the box of every nonlinearity's input, by value name."""

    lower: Tensor
    pre: dict[str, Box]


def linf_box(x: Tensor, eps: float | Tensor, low: float | Tensor, high: float | Tensor) -> Box:
    """The l∞ ball of radius eps (in input units) around x [B, *v], within the range [low, high]."""
    return Box((x - eps).clamp(min=low), (x + eps).clamp(max=high))


def margin_spec(labels: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Spec:
    """Rows y_t - y_j for all j != t in increasing order: [B, K-1, K], offset 0."""
    eye = torch.eye(classes, dtype=dtype, device=labels.device)
    others = torch.arange(classes - 1, device=labels.device)[None]
    others = others + (others >= labels[:, None])
    rows = eye[labels][:, None] - eye[others]
    return Spec(rows, rows.new_zeros(rows.shape[:2]))
