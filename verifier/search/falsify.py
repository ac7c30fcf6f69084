"""In search of a point that makes a clause unsafe: random points, descents, and whatever the search proposes.

A candidate counts only after onnxruntime, on the file itself, gave outputs that fulfil every row exactly.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..decision import Witness
from ..network import Network
from ..ops import Box, evaluate
from ..spec.judge import unsafe
from .attack import conjunction, pgd
from .clauses import Group
from .memory import inputs_per_pass

_REPLAYS = 8  # of the most promising candidates of a batch
_NEAR = 1e-4  # a margin in float32 below which a candidate is worth one


class Falsifier:
    def __init__(self, network: Network, groups: Sequence[Group], *, memory: int, seed: int) -> None:
        self._network, self._groups = network, groups
        self._generator = torch.Generator().manual_seed(seed)
        self._room = inputs_per_pass(network.graph, memory)
        # Probabilities may be equal in float32 where logits are far apart: then every candidate is.
        self._near = _NEAR if network.graph.ending is None else float("inf")

    def replay(self, group: int, x: Tensor) -> Witness | None:
        """x [n], moved into the box, where onnxruntime confirms that some clause of the group is unsafe there."""
        known = self._groups[group]
        if not known.attackable:
            return None
        inside = torch.minimum(
            torch.maximum(x.detach().to(torch.float32).flatten(), known.attack.lower), known.attack.upper
        )
        point = inside.numpy()
        y = self._network.runtime.logits(point.reshape(1, *self._network.graph.input_shape))[0]
        return Witness(point, y) if any(unsafe(clause, point, y) for clause in known.clauses) else None

    def sample(self, group: int, count: int) -> Witness | None:
        """Random points of the group's box, its corners among them, judged for all its clauses together."""
        known = self._groups[group]
        if not known.attackable:
            return None
        box = known.attack
        share = torch.rand(min(count, self._room), len(box.lower), generator=self._generator)
        share[::2] = share[::2].round()
        points = torch.minimum(box.lower + (box.upper - box.lower) * share, box.upper)
        graph = self._network.graph
        outputs = evaluate(graph, self._network.single, points.reshape(-1, *graph.input_shape))
        values = torch.einsum("cmk,bk->bcm", known.rows.float(), outputs) + known.offset.float()
        return self._confirmed(points, values.amax(2).amin(1), torch.full((len(points),), group))

    def descend(
        self, clauses: Sequence[tuple[int, int]], *, restarts: int, steps: int, stop: Callable[[], bool]
    ) -> Witness | None:
        """PGD for each clause (number of group, number within it)."""
        clauses = [pair for pair in clauses if self._groups[pair[0]].attackable]
        size = max(1, min(self._room, 2**24 // max(1, self._groups[0].rows[0].numel()) if clauses else 1))
        for first in range(0, len(clauses), size):
            if first and stop():
                break
            witness = self._descend(clauses[first : first + size], restarts, steps, stop)
            if witness is not None:
                return witness
        return None

    def _descend(
        self, clauses: Sequence[tuple[int, int]], restarts: int, steps: int, stop: Callable[[], bool]
    ) -> Witness | None:
        graph = self._network.graph
        groups = [self._groups[group] for group, _ in clauses]
        shape = (len(clauses), *graph.input_shape)
        box = Box(*(torch.stack([group.attack[end] for group in groups]).reshape(shape) for end in (0, 1)))
        most = max(group.rows.shape[1] for group in groups)
        spelled = [torch.arange(most).clamp(max=group.rows.shape[1] - 1) for group in groups]
        together = list(zip(groups, clauses, spelled, strict=True))
        rows = torch.stack([group.rows[clause, index].float() for group, (_, clause), index in together])
        offset = torch.stack([group.offset[clause, index].float() for group, (_, clause), index in together])
        points, margin = pgd(
            graph, self._network.single, box, conjunction(rows, offset), steps=steps, restarts=restarts,
            generator=self._generator, stop=stop,
        )  # fmt: skip
        return self._confirmed(points, margin, torch.tensor([group for group, _ in clauses]))

    def _confirmed(self, points: Tensor, margin: Tensor, groups: Tensor) -> Witness | None:
        """The first of the most promising points, by margin [B], that onnxruntime confirms."""
        for place in margin.argsort()[:_REPLAYS].tolist():
            if not margin[place] <= self._near:
                return None
            witness = self.replay(int(groups[place]), points[place])
            if witness is not None:
                return witness
        return None
