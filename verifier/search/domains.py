"""Subdomains: parts of the input box in which the inputs of some nonlinearities lie on one side of a point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ..engine.dual import Cuts, Dual
from ..engine.plan import Array
from ..engine.steps import Bend
from ..functions import Box


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
    """One open subdomain of one problem, with the slopes and multipliers of its best bound, as `Packing`
    keeps them, and the neuron to split next."""

    problem: int
    splits: tuple[Split, ...]
    bound: float
    slopes: Array = field(repr=False)
    multipliers: Array = field(repr=False)
    weights: Array = field(repr=False)
    branch: Branch | None = None  # None: no neuron is left to be split
    reason: str = ""  # why that leaves it open

    def children(self) -> list["Domain"]:
        """Both sides of the split."""
        if self.branch is None:
            raise ValueError("a subdomain without a neuron to split has no children")
        name, neuron, point = self.branch
        return [replace(self, splits=(*self.splits, Split(name, neuron, side, point)), branch=None) for side in (1, -1)]


def clip(pre: Mapping[str, Box], domains: Sequence[Domain]) -> tuple[dict[str, Box], dict[str, Cuts]]:
    """Boxes [D, n] of the nonlinearities' inputs, each domain's cut by its splits, and which ends that moved."""
    places: dict[tuple[str, int], tuple[list[int], list[float]]] = {}
    sizes = {name: box.lower.shape[1] for name, box in pre.items()}
    for row, domain in enumerate(domains):
        for name, neuron, side, point in domain.splits:
            index, points = places.setdefault((name, side), ([], []))
            index.append(row * sizes[name] + neuron)
            points.append(point)
    boxes, cuts = {}, {}
    for name, box in pre.items():
        ends = []
        for side, end, inwards in zip((1, -1), box, (np.maximum, np.minimum), strict=True):
            inner = np.array(end, order="C")
            if (name, side) in places:
                index, points = places[name, side]
                inwards.at(inner.reshape(-1), index, np.array(points, end.dtype))
            ends.append(inner)
        boxes[name] = Box(*ends)
        cuts[name] = Cuts(boxes[name].lower > box.lower, boxes[name].upper < box.upper)
    return boxes, cuts


class Packing:
    """Subdomains keep slopes and multipliers of those neurons alone that are unstable on their problem's whole box: no
    others say anything. Neurons are counted through all values."""

    def __init__(self, bends: Mapping[str, Bend]) -> None:
        self._bends = bends
        self._ends = np.cumsum([0, *(bend.size for bend in bends.values())]).tolist()

    def kept(self, pre: Mapping[str, Box]) -> Array:
        """Numbers of the neurons that are unstable on boxes [n]."""
        masks = [bend.function.unstable(pre[name]) for name, bend in self._bends.items()]
        return np.flatnonzero(np.concatenate([np.zeros(0, bool), *masks]))

    def stacked(self, domains: Sequence[Domain], kept: Sequence[Array]) -> Dual:
        """The domains' slopes and multipliers as one batch [D, 1, n], 0 where nothing is kept, and their weights
        [D, M]. kept: of each domain."""

        def spelled(packed: Sequence[Array]) -> dict[str, Array]:
            full = np.zeros((len(domains), 1, self._ends[-1]), packed[0].dtype)
            for row, (index, values) in enumerate(zip(kept, packed, strict=True)):
                full[row, 0, index] = values
            pairs = zip(self._bends, self._ends, self._ends[1:], strict=False)
            return {name: full[:, :, first:last] for name, first, last in pairs}

        slopes, multipliers = spelled([d.slopes for d in domains]), spelled([d.multipliers for d in domains])
        return Dual(slopes, multipliers, np.stack([domain.weights for domain in domains]))

    def keep(self, domains: Sequence[Domain], dual: Dual, kept: Sequence[Array]) -> None:
        """Each domain keeps its own row of the dual."""
        none = np.zeros((len(domains), 0), np.float32)
        slopes, multipliers = (
            np.concatenate([none, *(values[name][:, 0] for name in self._bends)], 1)
            for values in (dual.slopes, dual.multipliers)
        )
        for row, (domain, index) in enumerate(zip(domains, kept, strict=True)):
            domain.slopes, domain.multipliers = slopes[row, index], multipliers[row, index]
            if dual.weights is not None:
                domain.weights = dual.weights[row].copy()
