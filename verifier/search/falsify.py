"""In search of a point that makes a clause unsafe: random points, descents, and whatever the search proposes.

A candidate counts only once it is confirmed (`confirm`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from ..decision import Witness
from ..engine.plan import Array
from ..functions import Box
from ..network import Network
from .attack import Related, conjunction, pgd
from .clauses import Group
from .confirm import Judge
from .memory import inputs_per_pass

_REPLAYS = 8  # of the most promising candidates of a batch
_SETTLED = 8  # ways to move points to where relations of inputs hold, of one box
_NEAR = 1e-4  # a margin in float32 below which a candidate is worth one


class Falsifier:
    def __init__(
        self, network: Network, groups: Sequence[Group], owners: Sequence[int], *, memory: int, seed: int
    ) -> None:
        """owners: of each group whose it is."""
        self._engine, self._groups, self._owners = network.engine.single, groups, owners
        self._judge = Judge(network, groups)
        self._generator = np.random.default_rng(seed)
        self._room = inputs_per_pass(self._engine, memory)
        # Probabilities may be equal in float32 where logits are far apart: then every candidate is.
        self._near = _NEAR if network.graph.ending is None else inf

    def doubt(self, owner: int) -> str | None:
        """Why a point of the owner's which onnxruntime confirmed is no witness, if there was one."""
        return next((why for group, why in self._judge.doubts.items() if self._owners[group] == owner), None)

    def replay(self, group: int, x: Array) -> Witness | None:
        """x [n], moved to what the box is fed, where that makes some clause of the group unsafe beyond doubt."""
        known = self._groups[group]
        if not known.attackable:
            return None
        with np.errstate(over="ignore"):
            inside = np.minimum(np.maximum(x.astype(np.float32), known.attack.lower), known.attack.upper)
        for settle in list(dict.fromkeys(known.settlers))[:_SETTLED]:
            point = inside if settle is None else settle(inside[None])[0]
            found = self._judge.witness(group, point)
            if found is not None:
                return found
        return None

    def sample(self, group: int, count: int) -> Witness | None:
        """Random points of the group's box, its corners among them, judged for all its clauses together."""
        known = self._groups[group]
        if not known.attackable:
            return None
        box, size = known.attack, min(count, self._room)
        share = self._generator.random((size, len(box.lower)), np.float32)
        share[::2] = share[::2].round()
        with np.errstate(over="ignore", invalid="ignore"):
            points = np.minimum(box.lower + (box.upper - box.lower) * share, box.upper)
            settling = list(dict.fromkeys(known.settlers))[:_SETTLED]
            points = np.concatenate([points if each is None else each(points) for each in settling])
            rows, offset = (part.astype(np.float32) for part in (known.rows, known.offset))
            values = np.tensordot(self._engine.evaluate(points), rows, (1, 2)) + offset  # [b, C, M]
        margin = values.max(2).min(1)
        return self._confirmed(points, margin, [group] * len(points)).get(self._owners[group])

    def descend(
        self, clauses: Sequence[tuple[int, int]], *, restarts: int, steps: int, stop: Callable[[], bool]
    ) -> dict[int, Witness]:
        """PGD for each clause (number of group, number within it) until its owner has a witness: those found."""
        clauses = [pair for pair in clauses if self._groups[pair[0]].attackable]
        widest = max((self._groups[group].rows[0].size for group, _ in clauses), default=1)
        size = max(1, min(self._room, 2**24 // max(1, widest)))
        found: dict[int, Witness] = {}
        for first in range(0, len(clauses), size):
            if first and stop():
                break
            part = [pair for pair in clauses[first : first + size] if self._owners[pair[0]] not in found]
            if part:
                found |= self._descend(part, restarts, steps, stop)
        return found

    def _descend(
        self, clauses: Sequence[tuple[int, int]], restarts: int, steps: int, stop: Callable[[], bool]
    ) -> dict[int, Witness]:
        groups = [self._groups[group] for group, _ in clauses]
        box = Box(*(np.stack([group.attack[end] for group in groups]) for end in (0, 1)))
        settling = tuple(self._groups[group].settlers[clause] for group, clause in clauses)
        region = Related(*box, settling) if any(settling) else box
        most = max(group.rows.shape[1] for group in groups)
        spelled = [np.minimum(np.arange(most), group.rows.shape[1] - 1) for group in groups]
        together = list(zip(groups, clauses, spelled, strict=True))
        rows, offset = (
            np.stack([getattr(group, part)[clause, index] for group, (_, clause), index in together], dtype=np.float32)
            for part in ("rows", "offset")
        )
        points, margin = pgd(
            self._engine, region, conjunction(rows, offset), steps=steps, restarts=restarts,
            generator=self._generator, stop=stop,
        )  # fmt: skip
        return self._confirmed(points, margin, [group for group, _ in clauses])

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
