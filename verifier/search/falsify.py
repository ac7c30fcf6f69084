"""In search of a point that makes a clause unsafe: random points, descents, and whatever the search proposes.

A candidate counts only once it is confirmed (`confirm`).
"""

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..decision import Witness
from ..network import Network
from ..ops import Box, evaluate
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
        self._network, self._groups, self._owners = network, groups, owners
        self._judge = Judge(network, groups)
        self._generator = torch.Generator().manual_seed(seed)
        self._room = inputs_per_pass(network.graph, network.single, memory)
        # Probabilities may be equal in float32 where logits are far apart: then every candidate is.
        self._near = _NEAR if network.graph.ending is None else float("inf")

    def doubt(self, owner: int) -> str | None:
        """Why a point of the owner's which onnxruntime confirmed is no witness, if there was one."""
        return next((why for group, why in self._judge.doubts.items() if self._owners[group] == owner), None)

    def replay(self, group: int, x: Tensor) -> Witness | None:
        """x [n], moved to what the box is fed, where that makes some clause of the group unsafe beyond doubt."""
        known = self._groups[group]
        if not known.attackable:
            return None
        inside = torch.minimum(
            torch.maximum(x.detach().to(torch.float32).flatten(), known.attack.lower), known.attack.upper
        )
        for settle in list(dict.fromkeys(known.settlers))[:_SETTLED]:
            point = inside.numpy() if settle is None else settle(inside[None].numpy())[0]
            found = self._judge.witness(group, point)
            if found is not None:
                return found
        return None

    def sample(self, group: int, count: int) -> Witness | None:
        """Random points of the group's box, its corners among them, judged for all its clauses together."""
        known = self._groups[group]
        if not known.attackable:
            return None
        box = known.attack
        share = torch.rand(min(count, self._room), len(box.lower), generator=self._generator)
        share[::2] = share[::2].round()
        points = torch.minimum(box.lower + (box.upper - box.lower) * share, box.upper)
        settling = list(dict.fromkeys(known.settlers))[:_SETTLED]
        points = torch.cat([points if each is None else torch.from_numpy(each(points.numpy())) for each in settling])
        graph = self._network.graph
        outputs = evaluate(graph, self._network.single, points.reshape(-1, *graph.input_shape))
        values = torch.einsum("cmk,bk->bcm", known.rows.float(), outputs) + known.offset.float()
        return self._confirmed(points, values.amax(2).amin(1), [group] * len(points)).get(self._owners[group])

    def descend(
        self, clauses: Sequence[tuple[int, int]], *, restarts: int, steps: int, stop: Callable[[], bool]
    ) -> dict[int, Witness]:
        """PGD for each clause (number of group, number within it) until its owner has a witness: those found."""
        clauses = [pair for pair in clauses if self._groups[pair[0]].attackable]
        widest = max((self._groups[group].rows[0].numel() for group, _ in clauses), default=1)
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
        graph = self._network.graph
        groups = [self._groups[group] for group, _ in clauses]
        shape = (len(clauses), *graph.input_shape)
        box = Box(*(torch.stack([group.attack[end] for group in groups]).reshape(shape) for end in (0, 1)))
        settling = tuple(self._groups[group].settlers[clause] for group, clause in clauses)
        region = Related(*box, settling) if any(settling) else box
        most = max(group.rows.shape[1] for group in groups)
        spelled = [torch.arange(most).clamp(max=group.rows.shape[1] - 1) for group in groups]
        together = list(zip(groups, clauses, spelled, strict=True))
        rows = torch.stack([group.rows[clause, index].float() for group, (_, clause), index in together])
        offset = torch.stack([group.offset[clause, index].float() for group, (_, clause), index in together])
        points, margin = pgd(
            graph, self._network.single, region, conjunction(rows, offset), steps=steps, restarts=restarts,
            generator=self._generator, stop=stop,
        )  # fmt: skip
        return self._confirmed(points, margin, [group for group, _ in clauses])

    def _confirmed(self, points: Tensor, margin: Tensor, groups: Sequence[int]) -> dict[int, Witness]:
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
