"""A search's tree of boxes of inputs as the checker accepts it: cuts that it does not follow are left out, boxes that
it does not close are halved a few times more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..answer.proof import Closed, Halve, Narrow, Tree
from ..check import values
from ..check.checker import Checker, Region
from ..check.questions import Asked
from ..check.refusal import Refused
from ..engine.plan import Array

_DEEPER = 12  # halvings of a box that is not closed, at most
_MOST = 2**15  # nodes: more take the checker many minutes
_TOGETHER = 1024  # boxes


def input_tree(region: Region, tree: Tree, clauses: tuple[int, ...]) -> values.Tree | None:
    """The tree of these clauses, numbered as the region has them; None where the checker does not accept it."""
    if len(tree.nodes) > _MOST:
        return None
    found = values.Tree(clauses, tuple(_plain(node) for node in tree.nodes))
    if len(clauses) > 1 and _accepted(region, found):  # clauses that are closed on the way stay closed
        return found
    mended = _mended(region, found)
    if mended is None or len(clauses) == 1:  # each of its cuts and leaves was accepted by itself
        return mended
    return mended if _accepted(region, mended) else None


def _plain(node: object) -> values.Node:
    if isinstance(node, Halve):
        return values.InputSplit(node.entry, node.point, node.closing)
    if isinstance(node, Narrow):
        return values.Cut(node.ends)
    if isinstance(node, Closed):
        return values.PLAIN
    raise TypeError(f"{node!r} is no node of a tree over inputs")


def _accepted(region: Region, tree: values.Tree) -> bool:
    try:
        region.check(tree)
        return True
    except Refused:
        return False


@dataclass(frozen=True)
class _Part:
    lower: Array
    upper: Array


def _mended(region: Region, tree: values.Tree) -> values.Tree | None:
    """Cuts that the checker refuses are left out; boxes of leaves that it does not close are halved."""
    asked, checker, rule = region.group, region.checker, region.regions.rule
    kept: list[values.Node] = []
    leaves: list[_Part] = []
    waiting = [_Part(asked.lower, asked.upper)]
    for node in tree.nodes:
        part = waiting.pop()
        if isinstance(node, values.Leaf):
            leaves.append(part)
        elif isinstance(node, values.InputSplit):
            waiting += _halves(part, node.entry, node.point)
        elif isinstance(node, values.Cut):
            inner, cut = _after(part, node), values.Tree(tree.clauses, (node, values.PLAIN))
            own = checker.region(replace(asked, lower=part.lower, upper=part.upper), rule)
            if not _accepted_cut(own, cut):
                waiting.append(part)
                continue
            waiting.append(inner)
        kept.append(node)
    grown = _closed(checker, asked, rule, tree.clauses, leaves)
    if grown is None:
        return None
    rest, nodes = iter(grown), list[values.Node]()
    for node in kept:
        nodes += next(rest) if isinstance(node, values.Leaf) else [node]
    return values.Tree(tree.clauses, tuple(nodes))


def _accepted_cut(region: Region, tree: values.Tree) -> bool:
    """Whether what is cut off is closed; whether the rest is too does not matter here."""
    try:
        region.check(tree)
    except Refused as refused:
        return refused.place.endswith("node 1")
    return True


def _halves(part: _Part, entry: int, point: float) -> list[_Part]:
    """The one to come last first."""
    low, high = part.lower.copy(), part.upper.copy()
    low[entry] = high[entry] = point
    return [_Part(part.lower, high), _Part(low, part.upper)]


def _after(part: _Part, cut: values.Cut) -> _Part:
    lower, upper = part.lower.copy(), part.upper.copy()
    for entry, side, end in cut.ends:
        (lower, upper)[side][entry] = end
    return _Part(lower, upper)


def _closed(
    checker: Checker, asked: Asked, rule: int, clauses: Sequence[int], parts: list[_Part]
) -> list[list[values.Node]] | None:
    """Of each box the tree that closes it; None where some is not closed by `_DEEPER` halvings."""
    found: list[list[values.Node]] = [[] for _ in parts]
    todo = list(enumerate(parts))
    pending: list[list[tuple[_Part, int]]] = [[(part, 0)] for part in parts]
    while todo:
        boxes = [(place, *pending[place].pop()) for place, _ in todo]
        closed = np.concatenate(
            [
                np.array(_roots(checker, asked, rule, clauses, [box for _, box, _ in boxes[first : first + _TOGETHER]]))
                for first in range(0, len(boxes), _TOGETHER)
            ]
        )
        for (place, box, depth), done in zip(boxes, closed.tolist(), strict=True):
            if done:
                found[place].append(values.PLAIN)
                continue
            entry = int(np.argmax((box.upper - box.lower) / np.maximum(asked.upper - asked.lower, 1e-300)))
            point = float(box.lower[entry] / 2 + box.upper[entry] / 2)
            if depth == _DEEPER or not box.lower[entry] < point < box.upper[entry]:
                return None
            found[place].append(values.InputSplit(entry, point))
            pending[place] += [(half, depth + 1) for half in _halves(box, entry, point)]
        todo = [(place, part) for place, part in todo if pending[place]]
        if sum(len(nodes) for nodes in found) > 2 * _MOST:
            return None
    return found


def _roots(checker: Checker, asked: Asked, rule: int, clauses: Sequence[int], boxes: Sequence[_Part]) -> list[bool]:
    groups = [replace(asked, lower=box.lower, upper=box.upper) for box in boxes]
    return [bool(own[list(clauses)].all()) for own in checker.roots(groups, rule)]
