"""Trees over splits and cuts of the input. Every box has boxes of its neurons of its own; clauses that a node closes
stay closed below it."""

from dataclasses import dataclass, replace

import numpy as np

from .network import Network
from .neuron_trees import SplitRegion, leaf_rows, least_bounds, prepare
from .paths import children
from .questions import Clauses
from .refusal import Refused
from .regions import all_bounds, at_once, bound_rows, make_regions, pieces
from .rounding import Arithmetic
from .steps import Array
from .substitution import Form, least
from .values import Cut, InputSplit, Leaf, Node, Slopes, Tree

_MOST_TOGETHER = 1024  # boxes


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

    def refuse(self, part: Part, why: str) -> Refused:
        return Refused(f"{self.place}, node {part.number}", why)


def check_input_tree(asked: InputTree, lower: Array, upper: Array) -> None:
    """Raises Refused with the first node found that does not do what it is for. lower, upper [n]: the region."""
    below = children(asked.tree.nodes)
    together = min(_MOST_TOGETHER, at_once(asked.network, 2 * len(asked.tree.clauses), boxes=True))
    waiting = [Part(0, lower, upper, asked.tree.clauses)]
    while waiting:
        parts, waiting = waiting[-together:], waiting[:-together]
        parts = _closed_here(asked, parts)
        for part in parts:
            waiting += _children(asked, part, below[part.number])


def _closed_here(asked: InputTree, parts: list[Part]) -> list[Part]:
    """With the clauses that these nodes leave open; those that leave none are done."""
    node = {part.number: asked.tree.nodes[part.number] for part in parts}
    plain = [part for part in parts if _is_plain(node[part.number])]
    left = [part for part in parts if isinstance(node[part.number], InputSplit) and not _is_plain(node[part.number])]
    for part in parts:
        own = node[part.number]
        if isinstance(own, Leaf) and not own.plain:
            _close_leaf(asked, part, own)
    if plain:
        lower, upper = np.stack([part.lower for part in plain]), np.stack([part.upper for part in plain])
        regions = make_regions(asked.network, asked.arithmetic, lower, upper, asked.rule)
        rows = leaf_rows(asked.clauses, asked.tree.clauses, ())
        bounds = all_bounds(regions, [rows], np.arange(len(plain)), regions.relaxation)
        for part, bound in zip(plain, bounds, strict=True):
            open_ = tuple(c for c in part.clauses if not bound[rows.clause == c].max(initial=-np.inf) > 0)
            if open_ and isinstance(node[part.number], Leaf):
                worst = min(bound[rows.clause == c].max(initial=-np.inf) for c in open_)
                raise asked.refuse(
                    part, f"the leaf leaves clause {open_[0]} open: the bound {worst:.3g} is not above 0."
                )
            if open_:
                left.append(replace(part, clauses=open_))
    return left


def _is_plain(node: Node) -> bool:
    """The default leaf is tried there."""
    return (
        isinstance(node, Cut)
        or (isinstance(node, Leaf) and node.plain)
        or (isinstance(node, InputSplit) and node.closing)
    )


def _close_leaf(asked: InputTree, part: Part, leaf: Leaf) -> None:
    if leaf.slopes is Slopes.SAME:
        raise asked.refuse(part, "in a tree of the input's splits a leaf states its own slopes.")
    regions = make_regions(asked.network, asked.arithmetic, part.lower[None], part.upper[None], asked.rule)
    split = SplitRegion(regions)
    try:
        (bound,) = least_bounds(split, asked.clauses, part.clauses, [prepare(split, leaf, ())])
    except ValueError as error:
        raise asked.refuse(part, str(error)) from None
    if not bound > 0:
        raise asked.refuse(part, f"the leaf's bound {bound:.3g} is not above 0.")


def _children(asked: InputTree, part: Part, below: tuple[int, ...]) -> list[Part]:
    node = asked.tree.nodes[part.number]
    if isinstance(node, InputSplit):
        _inside(asked, part, node.entry, node.point)
        above, under = part.lower.copy(), part.upper.copy()
        above[node.entry] = under[node.entry] = node.point
        return [Part(below[0], above, part.upper, part.clauses), Part(below[1], part.lower, under, part.clauses)]
    if isinstance(node, Cut):
        return [_cut(asked, part, node, below[0])]
    raise asked.refuse(part, "a split of a neuron in a tree of the input's splits.")


def _inside(asked: InputTree, part: Part, entry: int, point: float) -> None:
    if not 0 <= entry < len(part.lower):
        raise asked.refuse(part, f"there is no entry {entry}; the input has {len(part.lower)}.")
    if not part.lower[entry] <= point <= part.upper[entry]:
        raise asked.refuse(part, f"{point!r} lies outside entry {entry}'s box.")


def _cut(asked: InputTree, part: Part, node: Cut, child: int) -> Part:
    """The child's box; on each slab cut off, a row's line of every open clause is positive."""
    if asked.rule == 0:
        raise asked.refuse(part, "a cut needs lines, and under rule 0 there are none.")
    lower, upper = part.lower.copy(), part.upper.copy()
    for entry, side, end in node.ends:
        _inside(asked, part, entry, end)
        (lower if side == 0 else upper)[entry] = end
    if not (lower <= upper).all():
        raise asked.refuse(part, "the ends of a cut cross; nothing is left of the box.")
    regions = make_regions(asked.network, asked.arithmetic, part.lower[None], part.upper[None], asked.rule)
    for clause in part.clauses:
        rows = leaf_rows(asked.clauses, (clause,), ())
        _, form = bound_rows(regions, [rows], None, regions.relaxation)
        if form is None or not regions.boxes.valid.all():
            raise asked.refuse(part, "the box proves nothing.")
        for piece in pieces(len(node.ends), at_once(asked.network, len(rows.clause))):
            bounds = _over_slabs(part, form, node.ends[piece])
            if not (bounds.max(1) > 0).all():
                raise asked.refuse(part, f"what is cut off holds points where clause {clause} is not closed.")
    return Part(child, lower, upper, part.clauses)


def _over_slabs(part: Part, form: Form, ends: tuple[tuple[int, int, float], ...]) -> Array:
    """[slabs, M]"""
    lower, upper = np.tile(part.lower, (len(ends), 1)), np.tile(part.upper, (len(ends), 1))
    for number, (entry, side, end) in enumerate(ends):
        (upper if side == 0 else lower)[number, entry] = end
    shape = (len(ends), *form.rows.shape[1:])
    spread = Form(
        np.broadcast_to(form.rows, shape),
        np.broadcast_to(form.offset, shape[:2]),
        np.broadcast_to(form.slack, shape[:2]),
    )
    return least(spread, lower, upper)
