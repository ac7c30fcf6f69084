"""A clause searched once more, by splits alone, over the boxes of neurons that the checker has: where the first search
used tighter ones, or came too near to zero for the checker, or is not known any more."""

import numpy as np

from ..answer.proof import Tree
from ..check import values
from ..check.checker import Region
from ..engine.anchor import Anchor
from ..engine.engine import Engine
from ..engine.errors import Errors
from ..engine.preactivations import unstable_preactivations
from ..functions import Box
from ..search.frontier import Limits
from ..search.problem import Problem
from ..search.search import Search
from .leaves import Linked

_SECONDS, _VISITS = 20.0, 2**13  # of the search, as `cost` reckons them; subdomains
_MARGIN = 0.01  # of what the root's bound lies below zero: how much more than zero is to be shown


def searched(engine: Engine, linked: Linked, region: Region, clause: int, memory: int) -> Tree | None:
    """The tree of one clause; None where there is none within the limits, or curves, for whose tangents a leaf has no
    place, would be searched in vain. memory: bytes for subdomains."""
    if not engine.piecewise_linear:
        return None
    rows = region.group.clauses.matrix(
        region.group.clauses.rows[clause], [clause] * len(region.group.clauses.rows[clause])
    )
    if rows.inputs is not None or rows.outputs.shape[1] != engine.outputs or not len(rows.outputs):
        return None
    (bound,) = region.bounds((clause,), [((), values.PLAIN)])
    if not np.isfinite(bound):
        return None
    pre, box = _boxes(engine, linked, region, memory), Box(region.group.lower, region.group.upper)
    problem = Problem(0, clause, box, rows.outputs, rows.offset + _MARGIN * min(bound, 0.0), pre)
    search = Search(engine, [problem], Limits(np.inf, memory=memory, proofs=memory // 2, refines=False))
    most = min(_VISITS, int(_SECONDS / search.seconds_each))
    while search.is_open() and search.progress[0].visited < most:
        search.run_round()
    found = search.proofs.tree(0, clause) if search.progress[0].done == "" and search.proofs is not None else None
    return found if isinstance(found, Tree) else None


def _boxes(engine: Engine, linked: Linked, region: Region, memory: int) -> dict[str, Box]:
    """Of the engine's nonlinearities: the checker's of those that the file has."""
    network, boxes, group = region.checker.network, region.regions.boxes, region.group
    anchor = Anchor(Box(group.lower[None], group.upper[None]))
    own = unstable_preactivations(engine, anchor, Errors(engine, anchor), memory=memory, stop=lambda: False)
    found = {name: Box(*(end[0] for end in box)) for name, box in own.items()}
    for name, node in zip(engine.bends, linked.links, strict=True):
        if node is None:
            continue
        tensor = network.steps[network.bends[node]].input  # type: ignore[union-attr]
        found[name] = Box(boxes.lower[tensor][0], boxes.upper[tensor][0])
    return found
