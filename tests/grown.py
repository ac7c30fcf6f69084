"""Trees that close clauses, grown by halving: what a search would hand over, made plainly."""

import numpy as np

from glscert.verifier.check.checker import Checker, Region
from glscert.verifier.check.paths import Constraint
from glscert.verifier.check.questions import Asked
from glscert.verifier.check.values import PLAIN, InputSplit, Leaf, NeuronSplit, Node, Tree


def bounds(region: Region, clause: int, path: tuple[Constraint, ...]) -> tuple[float, Leaf]:
    """The best of a few leaves with multipliers, and the leaf."""
    sizes = [0.0, 0.1, 0.5, 1.0, 3.0] if path else [0.0]
    leaves = [Leaf((), multipliers=(size,) * len(path)) if size else PLAIN for size in sizes]
    leaves = [Leaf(multipliers=tuple(float(np.float32(m)) for m in leaf.multipliers)) for leaf in leaves]
    found = region.bounds((clause,), [(path, leaf) for leaf in leaves])
    best = int(np.argmax(found))
    return found[best], leaves[best]


def neuron_tree(region: Region, clause: int, depth: int = 8) -> Tree | None:
    """Splits the unstable entry with the widest box; None where the clause is not closed by then."""
    nodes: list[Node] = []
    waiting: list[tuple[Constraint, ...]] = [()]
    while waiting:
        path = waiting.pop()
        bound, leaf = bounds(region, clause, path)
        if bound > 0:
            nodes.append(leaf)
            continue
        split = widest(region, path)
        if split is None or len(path) >= depth:
            return None
        nodes.append(NeuronSplit(*split))
        waiting += [(*path, (*split, 1, 0.0)), (*path, (*split, 0, 0.0))]
    return Tree((clause,), tuple(nodes))


def widest(region: Region, path: tuple[Constraint, ...]) -> tuple[int, int] | None:
    best, size = None, 0.0
    boxes = region.regions.boxes
    for node, entries in region.unstable(path):
        tensor = region.split.step(node)[1].input
        for entry in entries.tolist():
            if (node, entry) in {constraint[:2] for constraint in path}:
                continue
            width = float(min(-boxes.lower[tensor][0, entry], boxes.upper[tensor][0, entry]))
            if width > size:
                best, size = (node, entry), width
    return best


def input_tree(checker: Checker, group: Asked, rule: int, clauses: tuple[int, ...], depth: int = 8) -> Tree | None:
    """Halves the widest entry; None where some clause is not closed by then."""
    nodes: list[Node] = []
    waiting = [(group.lower, group.upper, 0, clauses)]
    while waiting:
        lower, upper, level, left = waiting.pop()
        own = Asked(lower, upper, lower, upper, lower, group.clauses, group.original)
        (closed,) = checker.roots([own], rule)
        left = tuple(clause for clause in left if not closed[clause])
        if not left:
            nodes.append(PLAIN)
            continue
        if level >= depth:
            return None
        entry = int(np.argmax(upper - lower))
        point = float(lower[entry] / 2 + upper[entry] / 2)
        nodes.append(InputSplit(entry, point, True))
        above, below = lower.copy(), upper.copy()
        above[entry] = below[entry] = point
        waiting += [(lower, below, level + 1, left), (above, upper, level + 1, left)]
    return Tree(clauses, tuple(nodes))
