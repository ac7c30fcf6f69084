"""What training minimises.

    robust CE = CE((0, -lb_1, …, -lb_(K-1)), target 0) = log(1 + sum_j exp(-lb_j)),   lb_j <= y_t - y_j over the box

All are sums over images, so that a batch may be evaluated in chunks and added up.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad


def robust_cross_entropy(lower: Tensor) -> Tensor:
    """Sum over B of log(1 + sum exp(-lower)); lower [B, K-1] holds the proved margins of the true class."""
    return torch.logsumexp(pad(-lower, (1, 0)), dim=1).sum()


def nominal_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum over B of the cross-entropy of scores [B, K] against labels [B]."""
    return cross_entropy(scores, labels, reduction="sum")


def l1_norm(params: dict[str, Tensor], weights: tuple[str, ...]) -> Tensor:
    """Sum of |W| over the named weights."""
    return torch.stack([params[name].abs().sum() for name in weights]).sum()
