"""Subdomains: parts of the input box in which the inputs of some nonlinearities lie on one side of a point."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..bounds.beta_crown import Cuts, Dual
from ..ops import Box


class Split(NamedTuple):
    """z >= point where side is 1, z <= point where it is -1, for the `neuron` (a flat index) of the value `name`."""

    name: str
    neuron: int
    side: int
    point: float


class Branch(NamedTuple):
    """Where a subdomain is to be split next."""

    name: str
    neuron: int
    point: float


@dataclass
class Domain:
    """One open subdomain of one problem, with the multipliers of its best bound and the neuron to split next."""

    problem: int
    splits: tuple[Split, ...]
    bound: float
    slopes: dict[str, Tensor] = field(repr=False)
    multipliers: dict[str, Tensor] = field(repr=False)
    weights: Tensor = field(repr=False)
    branch: Branch | None = None  # None: no neuron is left to be split

    def children(self) -> list["Domain"]:
        """Both sides of the split."""
        if self.branch is None:
            raise ValueError("a subdomain without a neuron to split has no children")
        name, neuron, point = self.branch
        return [replace(self, splits=(*self.splits, Split(name, neuron, side, point)), branch=None) for side in (1, -1)]


def clip(pre: Mapping[str, Box], domains: list[Domain]) -> tuple[dict[str, Box], dict[str, Cuts]]:
    """Boxes [D, *v] of the nonlinearities' inputs, each domain's cut by its splits, and which ends that moved."""
    places: dict[tuple[str, int], tuple[list[int], list[float]]] = {}
    sizes = {name: box.lower[0].numel() for name, box in pre.items()}
    for row, domain in enumerate(domains):
        for name, neuron, side, point in domain.splits:
            index, points = places.setdefault((name, side), ([], []))
            index.append(row * sizes[name] + neuron)
            points.append(point)
    boxes, cuts = {}, {}
    for name, box in pre.items():
        ends = []
        for side, end, reduce in zip((1, -1), box, ("amax", "amin"), strict=True):
            index, points = places.get((name, side), ([], []))
            inner = end.flatten().scatter_reduce(
                0, torch.tensor(index, dtype=torch.long), end.new_tensor(points), reduce
            )
            ends.append(inner.reshape(end.shape))
        boxes[name] = Box(*ends)
        cuts[name] = Cuts(boxes[name].lower > box.lower, boxes[name].upper < box.upper)
    return boxes, cuts


def stacked_dual(domains: list[Domain]) -> Dual:
    """The domains' slopes and multipliers as one batch [D, 1, *v], and their weights [D, M]."""

    def stack(kind: str) -> dict[str, Tensor]:
        return {name: torch.stack([getattr(d, kind)[name] for d in domains]) for name in domains[0].slopes}

    return Dual(stack("slopes"), stack("multipliers"), torch.stack([d.weights for d in domains]))


class Packing:
    """Of a problem's neurons those that are unstable on its whole box [*v]: the slopes and multipliers of no others say
    anything, so that open subdomains keep these alone."""

    def __init__(self, unstable: Mapping[str, Tensor]) -> None:
        self._shapes = {name: mask.shape for name, mask in unstable.items()}
        self._index = {name: mask.flatten().nonzero().flatten() for name, mask in unstable.items()}

    @property
    def size(self) -> int:
        return sum(len(index) for index in self._index.values())

    def packed(self, domain: Domain) -> Domain:
        def pack(values: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: value.flatten()[self._index[name]] for name, value in values.items()}

        return replace(domain, slopes=pack(domain.slopes), multipliers=pack(domain.multipliers))

    def spelled(self, domain: Domain) -> Domain:
        def spell(values: dict[str, Tensor]) -> dict[str, Tensor]:
            found = {}
            for name, value in values.items():
                full = value.new_zeros(self._shapes[name].numel())
                full[self._index[name]] = value
                found[name] = full.reshape(1, *self._shapes[name])
            return found

        return replace(domain, slopes=spell(domain.slopes), multipliers=spell(domain.multipliers))
