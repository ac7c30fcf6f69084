"""A search's tree of neuron splits in the file's own numbers, with as few bytes as the checker still accepts.

Slopes take most of them. A leaf has the default ones where these do, else those of the leaf before, else its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..answer.proof import SHARE, Cleave, Leaf, Tree
from ..check import values
from ..check.checker import Region
from ..check.paths import Constraint
from ..engine.plan import Array

_WINDOW = 64  # leaves that are tried with the slopes of one before, at most

Path = tuple[Constraint, ...]


class Linked(NamedTuple):
    """Of each of the engine's nonlinearities the node's number in the file, None of one that is not there; its size."""

    links: Sequence[int | None]
    sizes: Sequence[int]


class _Asked(NamedTuple):
    """A leaf with slopes of its own, and where it is."""

    path: Path
    leaf: values.Leaf


Closed = Callable[[Sequence[tuple[Path, values.Leaf]]], list[bool]]


class NoNode(Exception):
    """A split of a neuron that the file does not have by itself."""


def neuron_tree(region: Region, linked: Linked, tree: Tree, clause: int) -> values.Tree | None:
    """The tree of one clause, numbered as the region has it; None where the checker does not accept some leaf. Raises
    `NoNode`."""
    nodes, leaves = _translated(region, linked, tree, len(region.group.clauses.rows[clause]))
    chosen = _shortest(region, clause, leaves)
    if chosen is None:
        return None
    rest = iter(chosen)
    return values.Tree((clause,), tuple(next(rest) if isinstance(node, values.Leaf) else node for node in nodes))


def _translated(region: Region, linked: Linked, tree: Tree, rows: int) -> tuple[list[values.Node], list[_Asked]]:
    slopes = _Slopes(region, linked, tree)
    nodes, leaves, waiting = list[values.Node](), list[_Asked](), [Path()]
    for node in tree.nodes:
        path = waiting.pop()
        if isinstance(node, Cleave):
            number = linked.links[node.bend]
            if number is None:
                raise NoNode
            nodes.append(values.NeuronSplit(number, node.entry, node.point or None))
            waiting += [(*path, (number, node.entry, side, node.point)) for side in (1, 0)]
        elif isinstance(node, Leaf):
            own = values.Leaf(_weights(node, rows), slopes.of(node, path), node.multipliers)
            own = own if any(own.multipliers) else replace(own, multipliers=())
            nodes.append(own)
            leaves.append(_Asked(path, own))
    return nodes, leaves


def _weights(leaf: Leaf, rows: int) -> tuple[int, ...]:
    """A clause with fewer rows than others of its region has its first again in their place."""
    if rows == 1 or not leaf.weights:
        return ()
    first = min(SHARE, leaf.weights[0] + sum(leaf.weights[rows:]))
    return first, *leaf.weights[1:rows]


class _Slopes:
    """The slopes of a tree's leaves in the order in which the checker reads them."""

    def __init__(self, region: Region, linked: Linked, tree: Tree) -> None:
        self._region = region
        network, boxes = region.checker.network, region.regions.boxes
        self._default: dict[int, Array] = {}
        self._own: dict[int, tuple[Array, Array]] = {}  # entries of a node, and their places among a leaf's slopes
        for node, place in enumerate(network.bends):
            if region.checker.nodes[node].sloped:
                tensor = network.steps[place].input  # type: ignore[union-attr]
                above = boxes.upper[tensor][0] > -boxes.lower[tensor][0]
                self._default[node] = np.where(above, 255, 0).astype(np.uint8)
        neurons, ends = np.array(tree.neurons, np.int64), np.cumsum([0, *linked.sizes])
        for bend, known in enumerate(linked.links):
            mine = np.flatnonzero((neurons >= ends[bend]) & (neurons < ends[bend + 1]))
            if known is not None:
                self._own[known] = neurons[mine] - ends[bend], mine

    def of(self, leaf: Leaf, path: Path) -> bytes:
        given, found = np.frombuffer(leaf.slopes, np.uint8), []
        for node, entries in self._region.unstable(path):
            every = self._default[node].copy()
            if node in self._own:
                own, mine = self._own[node]
                every[own] = given[mine]
            found.append(every[entries])
        return b"".join(part.tobytes() for part in found)


def _shortest(region: Region, clause: int, asked: Sequence[_Asked]) -> list[values.Leaf] | None:
    """The leaves as they are written; None where one is not closed by its own slopes either."""

    def closed(leaves: Sequence[tuple[Path, values.Leaf]]) -> list[bool]:
        return [bound > 0 for bound in region.bounds((clause,), leaves)]

    default = [replace(own.leaf, slopes=values.Slopes.DEFAULT) for own in asked]
    short: dict[int, values.Leaf] = {}  # those that need no slopes
    for place, fits in enumerate(closed([(own.path, values.PLAIN) for own in asked])):
        if fits:
            short[place] = values.PLAIN
    rest = [place for place in range(len(asked)) if place not in short]
    for place, fits in zip(rest, closed([(asked[i].path, default[i]) for i in rest]), strict=True):
        if fits:
            short[place] = default[place]
    last = max((place for place in rest if place not in short), default=-1)
    found: list[values.Leaf] = []
    while len(found) < len(asked):
        place = len(found)
        if place in short:
            found.append(short[place])
            continue
        if not closed([asked[place]])[0]:
            return None
        found += [asked[place].leaf, *_alike(closed, asked[place], asked[place + 1 : last + 1])]
    return found


def _alike(closed: Closed, first: _Asked, others: Sequence[_Asked]) -> list[values.Leaf]:
    """Those of the others, up to the first that does not, that the slopes of `first` close."""
    found: list[values.Leaf] = []
    window = 1
    while len(found) < len(others):
        part = others[len(found) : len(found) + window]
        same = [_Asked(own.path, replace(own.leaf, slopes=values.Slopes.SAME)) for own in part]
        fits = closed([first, *same])[1:]
        good = fits.index(False) if False in fits else len(fits)
        found += [own.leaf for own in same[:good]]
        if good < len(fits):
            break
        window = min(_WINDOW, 2 * window)
    return found
