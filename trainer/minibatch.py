"""Loss and gradient of a mini-batch, evaluated in chunks that fit the cache and added up.

Every part of the loss is a function F of sums s over images (the cross-entropies, the regulariser's statistics), so
its gradient is dF/ds at the whole batch's sums, carried back chunk by chunk: equal to the whole batch's up to rounding.
Chunks run on a pool of threads and are added in their order, so that the result does not depend on the number of
threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from . import regulariser
from .distributed import ALONE, Group
from .evaluation import Evaluation, Params
from .losses import l1_norm, nominal_cross_entropy
from .objective import Images, LossParts, Objective


class Chunk(NamedTuple):
    """Images x [b, *v] with labels y [b], the first of which is number `first` of the batch."""

    first: int
    x: Tensor
    y: Tensor


# Over some images: "robust", the robust loss's terms [T]; where they count, "natural", the plain cross-entropy, and
# "statistics", the regulariser's. With an axis of members first where weights are shifted.
Sums = dict[str, Tensor]


class Forward(NamedTuple):
    """A chunk's sums, the number of images proved (None: not known), and how the means of the terms make the loss."""

    sums: Sums
    proved: Tensor | None
    combine: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Minibatch:
    """Images x [B, *v] with labels y [B]; called with parameters it gives loss and gradient (an `Evaluate`).

    `loss(objective, params, images)` is a method's own; None: the objective's robust loss. `stream(i)` is the generator
    of the chunk that begins with image i, `annealing` whether eps still grows. `reg_weight` (c) and `l1` weigh the
    regulariser and the L1 norm of the parameters named in `weights`. Autograd may keep the bounds of `kept` images.
    """

    objective: Objective
    x: Tensor
    y: Tensor
    eps: float
    chunk: int
    pool: Executor
    reg_weight: float = 0.0
    l1: float = 0.0
    weights: tuple[str, ...] = ()
    loss: Callable[..., LossParts] | None = None
    stream: Callable[[int], torch.Generator] | None = None
    annealing: bool = False
    group: Group = ALONE
    kept: int = 0

    def __call__(self, params: Params, shifts: Params | None = None) -> Evaluation:
        members = 1 if shifts is None else len(next(iter(shifts.values())))
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        size = max(1, self.chunk * 2 // max(members, 2))  # of more than two members, fewer images at a time
        cuts = zip(range(0, len(self.x), size), self.x.split(size), self.y.split(size), strict=True)
        forward, gradients = self._evaluate(leaves, shifts, [Chunk(*cut) for cut in cuts], members * len(self.x))
        loss = self._total(forward.sums, forward.combine)
        if self.l1 > 0:
            norm = self.l1 * self._norm(leaves, shifts)
            loss = loss + norm.detach()
            if self.group.leads:  # once, where processes add up
                gradients.append(_gradients([norm], leaves))
        columns = zip(*gradients, strict=True)
        gradient = {name: torch.stack(column).sum(0) for name, column in zip(leaves, columns, strict=True)}
        proved = None if forward.proved is None else float(forward.proved.sum()) / (members * len(self.x))
        return Evaluation(float(loss), proved, self.group.add(gradient))

    def _evaluate(
        self, leaves: Params, shifts: Params | None, chunks: Sequence[Chunk], bounded: int
    ) -> tuple[Forward, list[tuple[Tensor, ...]]]:
        """The whole batch's sums and, of each chunk that this process takes, the gradient.

        Where the slopes wait for the whole batch's sums, a chunk's graph is kept for the way back if all are small
        (`bounded`: images times members); what else back-substitution leaves behind would fill the memory and is made
        a second time.
        """
        taken = self.group.share(chunks)
        keep = len(taken) <= 1 or bounded <= self.kept

        def forth(chunk: Chunk) -> tuple[Forward, tuple[Tensor, ...] | None]:
            with torch.set_grad_enabled(keep or self.reg_weight == 0):
                forward = self._forward(leaves, shifts, chunk)
            if self.reg_weight == 0 and forward.combine is torch.sum:
                return _detached(forward), self._back(leaves, forward, self._slopes(forward.sums, forward.combine))
            return forward if keep else _detached(forward), None

        def back(chunk: Chunk, done: tuple[Forward, tuple[Tensor, ...] | None]) -> tuple[Tensor, ...]:
            forward, gradient = done
            if gradient is None:
                gradient = self._back(leaves, forward if keep else self._forward(leaves, shifts, chunk), slopes)
            return gradient

        # where there are fewer chunks than processes, some take the first for its shapes alone
        done = list(self.pool.map(forth, taken or chunks[:1]))
        whole = self._over_processes([forward for forward, _ in done], counted=bool(taken))
        slopes = self._slopes(whole.sums, whole.combine)
        return whole, list(self.pool.map(back, taken, done)) or [tuple(map(torch.zeros_like, leaves.values()))]

    def _over_processes(self, forwards: Sequence[Forward], *, counted: bool) -> Forward:
        """The whole batch's sums, to which those of this process may or may not count."""
        sums = {name: torch.stack([part.sums[name].detach() for part in forwards]).sum(0) for name in forwards[0].sums}
        known = [forward.proved for forward in forwards if forward.proved is not None]
        if known:
            sums["proved"] = torch.stack(known).sum()
        added = self.group.add(sums if counted else {name: torch.zeros_like(value) for name, value in sums.items()})
        return Forward(added, added.pop("proved", None), forwards[0].combine)

    def _forward(self, leaves: Params, shifts: Params | None, chunk: Chunk) -> Forward:
        if shifts is None:
            return self._forward_at(leaves, chunk)
        combine: list[Callable[[Tensor], Tensor]] = []

        def at(shift: Params) -> tuple[Sums, Tensor | None]:
            forward = self._forward_at(_shifted(leaves, shift), chunk)
            combine.append(forward.combine)
            return forward.sums, forward.proved

        return Forward(*vmap(at)(shifts), combine[0])

    def _forward_at(self, params: Params, chunk: Chunk) -> Forward:
        objective, (first, x, y), every_box = self.objective, chunk, self.reg_weight > 0
        if self.loss is None or self.stream is None:
            parts = objective.robust_loss(params, x, y, self.eps, every_box=every_box)
        else:
            parts = self.loss(objective, params, Images(x, y, self.eps, self.stream(first), self.annealing, every_box))
        sums = {"robust": parts.terms}
        if objective.robust_weight < 1:
            sums["natural"] = nominal_cross_entropy(objective.scores(params, x), y)
        if self.reg_weight > 0:
            sums["statistics"] = objective.statistics(params, x, y, self.eps, parts)
        return Forward(sums, parts.proved, parts.combine)

    def _norm(self, leaves: Params, shifts: Params | None) -> Tensor:
        """The L1 norm of the weights, the mean over the members."""
        if shifts is None:
            return l1_norm(leaves, self.weights)
        return vmap(lambda shift: l1_norm(_shifted(leaves, shift), self.weights))(shifts).mean()

    def _back(self, leaves: Params, forward: Forward, slopes: Sums) -> tuple[Tensor, ...]:
        return _gradients(list(forward.sums.values()), leaves, [slopes[name] for name in forward.sums])

    def _total(self, sums: Sums, combine: Callable[[Tensor], Tensor]) -> Tensor:
        """F: the loss, but for the L1 norm, from the sums over the whole batch; the mean over the members."""
        if sums["robust"].dim() > 1:
            return vmap(lambda member: self._total(member, combine))(sums).mean()
        weight, images = self.objective.robust_weight, len(self.x)
        loss = weight * combine(sums["robust"] / images)
        if "natural" in sums:
            loss = loss + (1 - weight) * sums["natural"] / images
        if "statistics" in sums:
            loss = loss + self.reg_weight * regulariser.value(sums["statistics"]).to(loss.dtype)
        return loss

    def _slopes(self, sums: Sums, combine: Callable[[Tensor], Tensor]) -> Sums:
        """dF/ds at the sums of the batch."""
        at = {name: value.detach().requires_grad_() for name, value in sums.items()}
        return dict(zip(at, _gradients([self._total(at, combine)], at), strict=True))


def _shifted(params: Params, shift: Params) -> Params:
    return {name: value + shift[name] for name, value in params.items()}


def _gradients(values: Sequence[Tensor], leaves: Params, slopes: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
    return torch.autograd.grad(values, list(leaves.values()), slopes, allow_unused=True, materialize_grads=True)


def _detached(forward: Forward) -> Forward:
    """Without the graph that led to the sums."""
    return forward._replace(sums={name: value.detach() for name, value in forward.sums.items()})
