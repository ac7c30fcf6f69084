"""A clause searched once more, by splits alone, over the boxes of neurons that the checker has: where the first search
used tighter ones, or came too near to zero for the checker, or is not known any more."""

import numpy as np

from ..answer.proof import Tree
from ..check import values
from ..check.checker import Region
from ..engine.engine import Engine
from ..functions import Box
from ..search.frontier import Limits
from ..search.problem import Problem
from ..search.search import Search
from .leaves import Linked

_SECONDS, _VISITS = 20.0, 2**13  # of the search, as `cost` reckons them; subdomains
_MARGIN = 0.01  # of what the root's bound lies below zero: how much more than zero is to be shown


def searched(engine: Engine, linked: Linked, region: Region, clause: int, memory: int) -> Tree | None:
    """The tree of one clause; None where there is none within the limits. memory: bytes for subdomains."""
    pre = _boxes(engine, linked, region)
    rows = region.group.clauses.matrix(
        region.group.clauses.rows[clause], [clause] * len(region.group.clauses.rows[clause])
    )
    if pre is None or rows.inputs is not None or rows.outputs.shape[1] != engine.outputs or not len(rows.outputs):
        return None
    (bound,) = region.bounds((clause,), [((), values.PLAIN)])
    if not np.isfinite(bound):
        return None
    box = Box(region.group.lower, region.group.upper)
    problem = Problem(0, clause, box, rows.outputs, rows.offset + _MARGIN * min(bound, 0.0), pre)
    search = Search(engine, [problem], Limits(np.inf, memory=memory, proofs=memory // 2, refines=False))
    most = min(_VISITS, int(_SECONDS / search.seconds_each))
    while search.is_open() and search.progress[0].visited < most:
        search.run_round()
    found = search.proofs.tree(0, clause) if search.progress[0].done == "" and search.proofs is not None else None
    return found if isinstance(found, Tree) else None


def _boxes(engine: Engine, linked: Linked, region: Region) -> dict[str, Box] | None:
    """Of the engine's nonlinearities; None where the file does not have them all."""
    network, boxes = region.checker.network, region.regions.boxes
    found = {}
    for name, node in zip(engine.bends, linked.links, strict=True):
        if node is None:
            return None
        tensor = network.steps[network.bends[node]].input  # type: ignore[union-attr]
        found[name] = Box(boxes.lower[tensor][0], boxes.upper[tensor][0])
    return found
