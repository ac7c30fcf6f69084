"""A search's tree of boxes of inputs as the checker accepts it: ends of cuts that it does not follow are left out,
boxes that it does not close are halved a few times more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..answer.proof import Closed, Halve, Narrow, Tree
from ..check import values
from ..check.checker import Region
from ..check.input_trees import InputTree, Judged, Part, inner_parts, judged
from ..check.paths import children
from ..engine.plan import Array

_DEEPER = 12  # halvings of a box that is not closed, at most
_MOST = 2**18  # nodes


def input_tree(region: Region, tree: Tree, clauses: tuple[int, ...]) -> values.Tree | None:
    """The tree of these clauses, numbered as the region has them; None where the checker does not accept it. All of it
    has been judged by the checker, node by node."""
    if len(tree.nodes) > _MOST:
        return None
    given = values.Tree(clauses, tuple(_plain(node) for node in tree.nodes))
    return _Mended(region, given).tree()


def _plain(node: object) -> values.Node:
    if isinstance(node, Halve):
        return values.InputSplit(node.entry, node.point, node.closing)
    if isinstance(node, Narrow):
        return values.Cut(node.ends)
    if isinstance(node, Closed):
        return values.PLAIN
    raise TypeError(f"{node!r} is no node of a tree over inputs")


@dataclass(eq=False)
class _Own:
    """A node as it is written. given: its number in the search's tree, -1 of a leaf that is not there; deeper: halvings
    since the search's leaf; below: its children."""

    node: values.Node
    given: int
    deeper: int = 0
    below: tuple[int, ...] = ()


class _Mended:
    """The search's tree, from the root on, each level of it judged as it will be written."""

    def __init__(self, region: Region, given: values.Tree) -> None:
        checker, self._group, self._given = region.checker, region.group, given
        self._asked = InputTree(
            checker.network, checker.arithmetic, region.regions.rule, region.group.clauses, given, ""
        )
        self._below = children(given.nodes)
        self._own = [_Own(given.nodes[0], 0)]

    def tree(self) -> values.Tree | None:
        waiting = [Part(0, self._group.lower, self._group.upper, self._given.clauses)]
        together = self._asked.together
        while waiting:
            parts, waiting = waiting[-together:], waiting[:-together]
            for found in judged(self._asked, parts, [self._own[part.number].node for part in parts]):
                after = self._after(found)
                if after is None or len(self._own) > 2 * _MOST:
                    return None
                waiting += after
        return values.Tree(self._given.clauses, tuple(self._preorder()))

    def _after(self, found: Judged) -> list[Part] | None:
        """The parts to be judged next; None where there is no way on."""
        own = self._own[found.part.number]
        if not found.open:
            own.node = values.PLAIN
            return []
        if isinstance(own.node, values.Leaf):
            return self._halved(own, found)
        if isinstance(own.node, values.Cut):
            own.node = values.Cut(tuple(end for end, good in zip(own.node.ends, found.shown, strict=True) if good))
            if not own.node.ends:  # the node below stands in its place
                own.given = self._below[own.given][0]
                own.node = self._given.nodes[own.given]
                return [found.part]
        elif found.wrong:
            return None
        own.below = tuple(self._new(_Own(self._given.nodes[number], number)) for number in self._below[own.given])
        return inner_parts(found, own.node, own.below)

    def _halved(self, own: _Own, found: Judged) -> list[Part] | None:
        lower, upper = found.lower, found.upper
        width = (upper - lower) / np.maximum(self._group.upper - self._group.lower, 1e-300)
        entry = int(np.argmax(width if found.steep is None else np.nan_to_num(found.steep)))
        point = _middle(lower, upper, entry)
        if own.deeper == _DEEPER or not lower[entry] < point < upper[entry]:
            return None
        own.node = values.InputSplit(entry, point, found.open != found.part.clauses)
        own.below = tuple(self._new(_Own(values.PLAIN, -1, own.deeper + 1)) for _ in range(2))
        return inner_parts(found, own.node, own.below)

    def _new(self, own: _Own) -> int:
        self._own.append(own)
        return len(self._own) - 1

    def _preorder(self) -> Sequence[values.Node]:
        found, waiting = list[values.Node](), [0]
        while waiting:
            own = self._own[waiting.pop()]
            found.append(own.node)
            waiting += reversed(own.below)
        return found


def _middle(lower: Array, upper: Array, entry: int) -> float:
    return float(lower[entry] / 2 + upper[entry] / 2)
