"""Trees over splits and cuts of the input. Every box has boxes of its neurons of its own; clauses that a node closes
stay closed below it. Many boxes are judged together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .cuts import Bounded, bounded, moved
from .network import Network
from .neuron_trees import SplitRegion, leaf_rows, least_bounds, prepare
from .paths import children
from .questions import Clauses
from .refusal import Refused
from .regions import at_once, make_regions
from .rounding import Arithmetic
from .steps import Array
from .values import Cut, InputSplit, Leaf, Node, Slopes, Tree

_MOST_TOGETHER = 512  # boxes


@dataclass(frozen=True, eq=False)
class Part:
    """A node's number, its box [n], the clauses that are still open there."""

    number: int
    lower: Array
    upper: Array
    clauses: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class InputTree:
    """What a tree is checked against."""

    network: Network
    arithmetic: Arithmetic
    rule: int
    clauses: Clauses
    tree: Tree
    place: str

    @property
    def together(self) -> int:
        """How many boxes are judged together."""
        rows = 4 * len(leaf_rows(self.clauses, self.tree.clauses, ()).clause)
        return min(_MOST_TOGETHER, at_once(self.network, rows, boxes=True))


@dataclass(frozen=True, eq=False)
class Judged:
    """A node on its box. open: the clauses that it leaves; lower, upper [n]: the box, or what a cut leaves of it;
    wrong: what the node does not do that it is for, else ""; shown: which of a cut's ends are; steep [n]: of a leaf
    that is open by how much its best row moves along each input, for writers."""

    part: Part
    open: tuple[int, ...]
    lower: Array
    upper: Array
    wrong: str = ""
    shown: tuple[bool, ...] = ()
    steep: Array | None = None


def check_input_tree(asked: InputTree, lower: Array, upper: Array) -> None:
    """Raises Refused with the first node found that does not do what it is for. lower, upper [n]: the region."""
    nodes, below = asked.tree.nodes, children(asked.tree.nodes)
    together = asked.together
    waiting = [Part(0, lower, upper, asked.tree.clauses)]
    while waiting:
        parts, waiting = waiting[-together:], waiting[:-together]
        for own in judged(asked, parts, [nodes[part.number] for part in parts]):
            if own.wrong:
                raise Refused(f"{asked.place}, node {own.part.number}", own.wrong)
            if own.open:
                waiting += inner_parts(own, nodes[own.part.number], below[own.part.number])


def inner_parts(own: Judged, node: Node, numbers: Sequence[int]) -> list[Part]:
    """The children's."""
    if isinstance(node, InputSplit):
        above, under = own.lower.copy(), own.upper.copy()
        above[node.entry] = under[node.entry] = node.point
        return [Part(numbers[0], above, own.upper, own.open), Part(numbers[1], own.lower, under, own.open)]
    if isinstance(node, Cut):
        return [Part(numbers[0], own.lower, own.upper, own.open)]
    return []


def judged(asked: InputTree, parts: Sequence[Part], nodes: Sequence[Node]) -> list[Judged]:
    """Each node on the box of its part."""
    found = [Judged(part, part.clauses, part.lower, part.upper) for part in parts]
    plain = []
    for place, (part, node) in enumerate(zip(parts, nodes, strict=True)):
        if isinstance(node, Cut) and asked.rule == 0:
            found[place] = replace(found[place], wrong="a cut needs lines, and under rule 0 there are none.")
        elif _is_plain(node):
            plain.append(place)
        elif isinstance(node, Leaf):
            found[place] = replace(found[place], wrong=_leaf(asked, part, node), open=())
        elif not isinstance(node, InputSplit):
            found[place] = replace(found[place], wrong="a split of a neuron in a tree of the input's splits.")
    if plain:
        lower, upper = (np.stack([getattr(parts[place], end) for place in plain]) for end in ("lower", "upper"))
        rows = leaf_rows(asked.clauses, asked.tree.clauses, ())
        boxes = bounded(asked.network, asked.arithmetic, lower, upper, asked.rule, rows)
        best, number = boxes.best(asked.tree.clauses), {c: i for i, c in enumerate(asked.tree.clauses)}
        for row, place in enumerate(plain):
            left = tuple(c for c in parts[place].clauses if not best[row, number[c]] > 0)
            found[place] = replace(found[place], open=left)
            if left and isinstance(nodes[place], Leaf):
                worst = min(best[row, number[c]] for c in left)
                why = f"the leaf leaves clause {left[0]} open: the bound {worst:.3g} is not above 0."
                found[place] = replace(found[place], wrong=why, steep=boxes.steep(row))
        _cut(asked, found, nodes, plain, boxes)
    for place, node in enumerate(nodes):
        if isinstance(node, InputSplit) and found[place].open and not found[place].wrong:
            found[place] = replace(found[place], wrong=_outside(parts[place], node.entry, node.point))
    return found


def _is_plain(node: Node) -> bool:
    """The default leaf is tried there."""
    return (
        isinstance(node, Cut)
        or (isinstance(node, Leaf) and node.plain)
        or (isinstance(node, InputSplit) and node.closing)
    )


def _leaf(asked: InputTree, part: Part, leaf: Leaf) -> str:
    """Why it does not close its part."""
    if leaf.slopes is Slopes.SAME:
        return "in a tree of the input's splits a leaf states its own slopes."
    regions = make_regions(asked.network, asked.arithmetic, part.lower[None], part.upper[None], asked.rule)
    split = SplitRegion(regions)
    try:
        (bound,) = least_bounds(split, asked.clauses, part.clauses, [prepare(split, leaf, ())])
    except ValueError as error:
        return str(error)
    return "" if bound > 0 else f"the leaf's bound {bound:.3g} is not above 0."


def _outside(part: Part, entry: int, point: float) -> str:
    if not 0 <= entry < len(part.lower):
        return f"there is no entry {entry}; the input has {len(part.lower)}."
    if not part.lower[entry] <= point <= part.upper[entry]:
        return f"{point!r} lies outside entry {entry}'s box."
    return ""


def _cut(asked: InputTree, found: list[Judged], nodes: Sequence[Node], plain: Sequence[int], boxes: Bounded) -> None:
    """What cuts leave of their boxes, at these places of `found`, each a row of `boxes`."""
    rows, places, ends = [], [], []
    for row, place in enumerate(plain):
        node = nodes[place]
        if not isinstance(node, Cut) or not found[place].open:
            continue
        part = found[place].part
        why = next((f"there is no entry {e}." for e, _, _ in node.ends if not 0 <= e < len(part.lower)), "")
        if why:
            found[place] = replace(found[place], wrong=why)
            continue
        rows.append(row)
        places.append(place)
        ends.append(node.ends)
    if not places:
        return
    open_ = np.array([[c in found[place].open for c in asked.tree.clauses] for place in places])
    lower, upper, shown, inside = moved(boxes, np.array(rows), asked.tree.clauses, open_, ends)
    for number, place in enumerate(places):
        own = tuple(shown[number, : len(ends[number])].tolist())
        why = "" if all(own) else "what is cut off holds points where a clause is not closed."
        if not inside[number, : len(ends[number])].all():
            why = "an end of a cut lies outside the box."
        found[place] = replace(found[place], lower=lower[number], upper=upper[number], shown=own, wrong=why)
