"""Where the nodes of a flat tree lie: their children, and the splits above a leaf."""

from collections.abc import Iterator
from dataclasses import dataclass

from .tree_codec import Path
from .values import Cut, Leaf, NeuronSplit, Node, Tree

Constraint = tuple[int, int, int, float]  # node, entry, side (0: z >= point, 1: z <= point), point


@dataclass(frozen=True)
class Trail:
    """Splits above a node, the last one first."""

    above: "Trail | None"
    last: Constraint

    def constraints(self) -> tuple[Constraint, ...]:
        """From the root on."""
        found, trail = [], self
        while trail is not None:
            found.append(trail.last)
            trail = trail.above  # type: ignore[assignment]
        return tuple(reversed(found))


def checked_nodes(tree: Tree) -> tuple[Node, ...]:
    """Raises ValueError where a tree's nodes make no tree of the format."""
    path = Path()
    for node in tree.nodes:
        path.take(node)
    if not path.done:
        raise ValueError("the tree ends before its last leaf.")
    return tree.nodes


def neuron_leaves(nodes: tuple[Node, ...]) -> Iterator[tuple[int, Leaf, tuple[Constraint, ...]]]:
    """The leaves of a tree of neuron splits: number in the preorder, leaf, the splits above it."""
    waiting: list[Trail | None] = [None]
    for number, node in enumerate(nodes):
        trail = waiting.pop()
        if isinstance(node, Leaf):
            yield number, node, () if trail is None else trail.constraints()
        elif isinstance(node, NeuronSplit):
            point = 0.0 if node.point is None else node.point
            waiting.append(Trail(trail, (node.node, node.entry, 1, point)))
            waiting.append(Trail(trail, (node.node, node.entry, 0, point)))


def children(nodes: tuple[Node, ...]) -> list[tuple[int, ...]]:
    """The numbers of each node's children."""
    found: list[tuple[int, ...]] = [()] * len(nodes)
    waiting: list[int] = []
    for number, node in enumerate(nodes):
        if waiting:
            parent = waiting.pop()
            found[parent] += (number,)
        if not isinstance(node, Leaf):
            waiting += [number] * (1 if isinstance(node, Cut) else 2)
    return found
