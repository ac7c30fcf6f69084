"""In search of a point that makes a clause unsafe: descents, and whatever the search proposes.

A candidate counts only once it is confirmed (`confirm`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from ..answer import Witness
from ..engine.ball import stacked
from ..engine.plan import Array
from ..functions import Box
from ..network import Network
from .attack import Objective, Region, Related, disjunction, pgd
from .clauses import Group
from .confirm import Judge
from .memory import inputs_per_pass

_REPLAYS = 8  # of the most promising candidates of a batch
_SETTLED = 8  # ways to move points to where relations of inputs hold, of one box
_MANY = 32  # clauses of a region, beyond which a descent towards one looks at no other
_NEAR = 1e-4  # a margin in float32 below which a candidate is worth one

Target = tuple[int, int | None]  # number of a group, and within it of the clause, None: whichever is nearest


class Falsifier:
    def __init__(
        self, network: Network, groups: Sequence[Group], owners: Sequence[int], *, memory: int, seed: int
    ) -> None:
        """owners: of each group whose it is."""
        self._engine = network.engine.single if network.runtime.dtype == np.float32 else network.engine
        self._groups, self._owners = groups, owners
        self._judge = Judge(network, groups)
        self._generator = np.random.default_rng(seed)
        self._room = inputs_per_pass(self._engine, memory)
        # Probabilities may be equal in float32 where logits are far apart: then every candidate is.
        self._near = _NEAR if network.graph.ending is None else inf

    def doubt(self, owner: int) -> str | None:
        """Why a point of the owner's which onnxruntime confirmed is no witness, if there was one."""
        return next((why for group, why in self._judge.doubts.items() if self._owners[group] == owner), None)

    def replay(self, group: int, x: Array) -> Witness | None:
        """x [n], moved to what the region is fed, where that makes some clause of the group unsafe beyond doubt."""
        known = self._groups[group]
        if not known.attackable:
            return None
        with np.errstate(over="ignore"):
            inside = x.astype(known.attack.lower.dtype).clip(*known.attack)
        for settle in list(dict.fromkeys(known.settlers))[:_SETTLED]:
            point = inside if settle is None else settle(inside[None])[0]
            found = self._judge.witness(group, point)
            if found is not None:
                return found
        return None

    def descend(
        self, targets: Sequence[Target], *, restarts: int, steps: int, stop: Callable[[], bool]
    ) -> dict[int, Witness]:
        """PGD for each target until its owner has a witness: those found."""
        targets = [target for target in targets if self._groups[target[0]].attackable]
        widest = max((self._groups[group].rows.size for group, _ in targets), default=1)
        size = max(1, min(self._room, 2**24 // max(1, widest)))
        found: dict[int, Witness] = {}
        for first in range(0, len(targets), size):
            if first and stop():
                break
            part = [target for target in targets[first : first + size] if self._owners[target[0]] not in found]
            if part:
                found |= self._descend(part, restarts, steps, stop)
        return found

    def _descend(
        self, targets: Sequence[Target], restarts: int, steps: int, stop: Callable[[], bool]
    ) -> dict[int, Witness]:
        groups = [self._groups[group] for group, _ in targets]
        points, margin = pgd(
            self._engine, _region(groups, targets), self._objective(groups, targets), steps=steps, restarts=restarts,
            generator=self._generator, stop=stop,
        )  # fmt: skip
        return self._confirmed(points, margin, [group for group, _ in targets])

    def _objective(self, groups: Sequence[Group], targets: Sequence[Target]) -> Objective:
        """Of all clauses of each region, or where they are many of the target alone."""
        chosen, aims = [], []
        for group, (_, clause) in zip(groups, targets, strict=True):
            alone = clause is not None and len(group.rows) > _MANY
            chosen.append(np.array([clause]) if alone else np.flatnonzero(group.alive))
            aims.append(-1 if clause is None else 0 if alone else int(np.searchsorted(chosen[-1], clause)))
        clauses, most = max(map(len, chosen)), max(group.rows.shape[1] for group in groups)
        rows, offset = [], []
        for group, some in zip(groups, chosen, strict=True):
            every = np.resize(some, clauses)[:, None], np.arange(most).clip(max=group.rows.shape[1] - 1)
            rows.append(group.rows[every].astype(self._engine.dtype))
            offset.append(group.offset[every].astype(self._engine.dtype))
        return disjunction(np.stack(rows), np.stack(offset), np.array(aims))

    def _confirmed(self, points: Array, margin: Array, groups: Sequence[int]) -> dict[int, Witness]:
        """Of each owner the first of its most promising points, by margin [B], that onnxruntime confirms."""
        found: dict[int, Witness] = {}
        tried = Counter[int]()
        order = margin.argsort()
        for place in order[margin[order] <= self._near].tolist():
            owner = self._owners[groups[place]]
            if owner in found or tried[owner] == _REPLAYS:
                continue
            tried[owner] += 1
            witness = self.replay(groups[place], points[place])
            if witness is not None:
                found[owner] = witness
        return found


def _region(groups: Sequence[Group], targets: Sequence[Target]) -> Region:
    balls = stacked([group.attacked for group in groups if group.attacked is not None])
    if balls is not None:
        return balls
    box = Box(*(np.stack([group.attack[end] for group in groups]) for end in (0, 1)))
    settling = tuple(group.settlers[clause or 0] for group, (_, clause) in zip(groups, targets, strict=True))
    return Related(*box, settling) if any(settling) else box
