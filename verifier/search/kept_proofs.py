"""The subdomains that a search closed, with what closed them: for each problem the tree that they are the leaves of.

What is kept is rounded as a certificate holds it, and it is with the rounded numbers that a subdomain is closed.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ..answer.proof import LARGE, SHARE, SLOPE, Cleave, Leaf, Node, NotKept, Tree
from ..engine.dual import Dual
from ..engine.plan import Array
from ..engine.steps import Bend
from .domains import Domain, Split

_LEAF, _SPLIT = 400, 60  # bytes beside the slopes: of a leaf, of a split on the way to it
_SMALLEST = 1e-30  # of the weights together: below that nothing can be told of their shares

Path = tuple[Split, ...]


def rounded(dual: Dual) -> Dual:
    """The dual in float64, of the numbers that a certificate has for it."""
    if dual.weights is None:
        raise ValueError("a dual without weights is none of a subdomain")
    whole = np.maximum(dual.weights.astype(np.float64).sum(1, keepdims=True), _SMALLEST)
    share = np.rint(np.clip(dual.weights / whole, 0, 1) * SHARE)
    slopes = {name: np.rint(np.clip(value, 0, 1) * float(SLOPE)) / SLOPE for name, value in dual.slopes.items()}
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number proves nothing
        multipliers = {
            name: (value / whole[:, :, None]).astype(np.float32).astype(np.float64)
            for name, value in dual.multipliers.items()
        }
    return Dual(slopes, multipliers, share / np.maximum(share.sum(1, keepdims=True), 1))


class KeptProofs:
    """Within `memory` bytes; a problem whose leaves are too many for what is left of it keeps none."""

    def __init__(self, bends: Mapping[str, Bend], kept: Sequence[Array], memory: int) -> None:
        """kept: of each problem the neurons that its subdomains have slopes of (`Packing`)."""
        self._place = {name: place for place, name in enumerate(bends)}
        self._left, self._kept = memory, list(kept)
        self._held = [0] * len(kept)
        self._leaves: list[dict[Path, Leaf]] = [{} for _ in kept]
        self._refined = [False] * len(kept)
        self._lost: dict[int, str] = {}
        self._numbers: dict[int, tuple[int, ...]] = {}  # by id of the array that holds them

    def close(self, domain: Domain, dual: Dual, row: int, rows: int) -> None:
        """By the row of a dual that was `rounded`; rows: of the problem, the others only fill up."""
        if domain.problem in self._lost or dual.weights is None:
            return
        slopes = np.concatenate([dual.slopes[name][row, 0] for name in self._place])[self._kept[domain.problem]]
        size = _LEAF + slopes.size + _SPLIT * len(domain.splits)
        if size > self._left:
            self.lose(domain.problem, LARGE)
            return
        self._left -= size
        self._held[domain.problem] += size
        shares = dual.weights[row, :rows].copy()
        shares[-1] += dual.weights[row, rows:].sum()  # the last row again
        self._leaves[domain.problem][domain.splits] = Leaf(
            tuple(np.rint(shares * SHARE).astype(int).tolist()) if rows > 1 else (),
            np.rint(slopes * SLOPE).astype(np.uint8).tobytes(),
            tuple(_multipliers(domain.splits, dual, row)),
        )

    def lose(self, problem: int, why: str) -> None:
        """Keeps nothing of it."""
        self._forget(problem)
        self._lost.setdefault(problem, why)

    def restart(self, problem: int, kept: Array) -> None:
        """It begins anew, over tighter boxes."""
        self._forget(problem)
        self._kept[problem], self._refined[problem] = kept, True

    def _forget(self, problem: int) -> None:
        self._left += self._held[problem]
        self._held[problem], self._leaves[problem] = 0, {}

    def tree(self, problem: int, clause: int) -> Tree | NotKept:
        """Of a problem that is proved."""
        if problem in self._lost:
            return NotKept(self._lost[problem])
        kept = self._kept[problem]
        neurons = self._numbers.setdefault(id(kept), tuple(kept.tolist()))
        return Tree((clause,), tuple(self._nodes(problem)), neurons, self._refined[problem])

    def _nodes(self, problem: int) -> list[Node]:
        leaves, found = self._leaves[problem], list[Node]()
        waiting = [(list(leaves), 0)]
        while waiting:
            paths, depth = waiting.pop()
            if len(paths) == 1 and len(paths[0]) == depth:
                found.append(leaves[paths[0]])
                continue
            name, neuron, _, point = paths[0][depth]
            found.append(Cleave(self._place[name], neuron, point))
            waiting += [([path for path in paths if path[depth].side == side], depth + 1) for side in (-1, 1)]
        return found


def _multipliers(splits: Path, dual: Dual, row: int) -> list[float]:
    """Of each split on the way, 0 of one that a later one of the same side is beyond."""
    last = {(split.name, split.neuron, split.side): place for place, split in enumerate(splits)}
    found = []
    for place, (name, neuron, side, _) in enumerate(splits):
        # > 0 belongs to the upper end of a box, which a split to its lower side moves
        signed = -side * float(dual.multipliers[name][row, 0, neuron])
        found.append(max(signed, 0.0) if last[name, neuron, side] == place else 0.0)
    return found
