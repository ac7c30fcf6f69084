"""Subdomains: parts of the input box in which some ReLUs have a fixed sign."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..bounds.beta_crown import Dual
from ..ops import Box

Split = tuple[str, int, int]  # value name, flat index of the neuron, sign: 1 for z >= 0, -1 for z <= 0


@dataclass
class Domain:
    """One open subdomain of one problem, with the multipliers of its best bound and the neuron to split next."""

    problem: int
    splits: tuple[Split, ...]
    bound: float
    slopes: dict[str, Tensor] = field(repr=False)
    multipliers: dict[str, Tensor] = field(repr=False)
    weights: Tensor = field(repr=False)
    branch: tuple[str, int] | None = None  # None: every ReLU has its sign
    again: int = 0  # how often it was bounded anew since

    def children(self) -> list["Domain"]:
        """Both sides of the split; itself where none is left, to be bounded with more steps."""
        if self.branch is None:
            return [replace(self, again=self.again + 1)]
        return [replace(self, splits=(*self.splits, (*self.branch, sign)), branch=None) for sign in (1, -1)]


def split_signs(domains: list[Domain], pre: dict[str, Box]) -> dict[str, Tensor]:
    """Signs [D, *v] of the splits, 0 where there is none, by value name."""
    signs = {name: torch.zeros_like(box.lower) for name, box in pre.items()}
    for row, domain in enumerate(domains):
        for name, index, sign in domain.splits:
            signs[name][row].view(-1)[index] = sign
    return signs


def clip(pre: dict[str, Box], signs: dict[str, Tensor]) -> dict[str, Box]:
    """Pre-activation boxes [D, *v] cut at zero on the side that a split excludes."""
    return {
        name: Box(
            torch.where(signs[name] > 0, box.lower.clamp(min=0), box.lower),
            torch.where(signs[name] < 0, box.upper.clamp(max=0), box.upper),
        )
        for name, box in pre.items()
    }


def stacked_dual(domains: list[Domain]) -> Dual:
    """The domains' slopes and multipliers as one batch [D, 1, *v], and their weights [D, M]."""

    def stack(kind: str) -> dict[str, Tensor]:
        return {name: torch.stack([getattr(d, kind)[name] for d in domains]) for name in domains[0].slopes}

    return Dual(stack("slopes"), stack("multipliers"), torch.stack([d.weights for d in domains]))
