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

from . import regulariser
from .evaluation import Evaluation, Params
from .losses import l1_norm, nominal_cross_entropy
from .objective import Images, LossParts, Objective


class Chunk(NamedTuple):
    """Images x [b, *v] with labels y [b], the first of which is number `first` of the batch."""

    first: int
    x: Tensor
    y: Tensor


# Over some images: "robust", the robust loss's terms [T]; where they count, "natural", the plain cross-entropy, and
# "statistics", the regulariser's.
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
    regulariser and the L1 norm of the parameters named in `weights`.
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

    def __call__(self, params: Params) -> Evaluation:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        cuts = zip(range(0, len(self.x), self.chunk), self.x.split(self.chunk), self.y.split(self.chunk), strict=True)
        forwards, gradients = self._evaluate(leaves, [Chunk(*cut) for cut in cuts])
        loss = self._total(_added(forwards), forwards[0].combine)
        if self.l1 > 0:
            norm = self.l1 * l1_norm(leaves, self.weights)
            loss = loss + norm.detach()
            gradients.append(_gradients([norm], leaves))
        columns = zip(*gradients, strict=True)
        gradient = {name: torch.stack(column).sum(0) for name, column in zip(leaves, columns, strict=True)}
        proved = [forward.proved for forward in forwards if forward.proved is not None]
        return Evaluation(float(loss), float(sum(proved)) / len(self.x) if proved else None, gradient)

    def _evaluate(self, leaves: Params, chunks: Sequence[Chunk]) -> tuple[list[Forward], list[tuple[Tensor, ...]]]:
        """Forward and gradient of every chunk.

        Where the slopes wait for the whole batch's sums, a chunk's graph is kept for the way back if it is small, as
        IBP's is; what back-substitution leaves behind would fill the memory and is made a second time.
        """
        keep = len(chunks) == 1 or self.objective.relaxation == "ibp"

        def forth(chunk: Chunk) -> tuple[Forward, tuple[Tensor, ...] | None]:
            with torch.set_grad_enabled(keep or self.reg_weight == 0):
                forward = self._forward(leaves, chunk)
            if self.reg_weight == 0 and forward.combine is torch.sum:
                return _detached(forward), self._back(leaves, forward, self._slopes(forward.sums, forward.combine))
            return forward if keep else _detached(forward), None

        def back(chunk: Chunk, done: tuple[Forward, tuple[Tensor, ...] | None]) -> tuple[Tensor, ...]:
            forward, gradient = done
            if gradient is None:
                gradient = self._back(leaves, forward if keep else self._forward(leaves, chunk), slopes)
            return gradient

        done = list(self.pool.map(forth, chunks))
        forwards = [forward for forward, _ in done]
        slopes = self._slopes(_added(forwards), forwards[0].combine)
        return forwards, list(self.pool.map(back, chunks, done))

    def _forward(self, leaves: Params, chunk: Chunk) -> Forward:
        objective, (first, x, y) = self.objective, chunk
        if self.loss is None or self.stream is None:
            parts = objective.robust_loss(leaves, x, y, self.eps)
        else:
            parts = self.loss(objective, leaves, Images(x, y, self.eps, self.stream(first), self.annealing))
        sums = {"robust": parts.terms}
        if objective.robust_weight < 1:
            sums["natural"] = nominal_cross_entropy(objective.scores(leaves, x), y)
        if self.reg_weight > 0:
            known = None if parts.box is None or parts.bounds is None else (parts.box, parts.bounds)
            sums["statistics"] = objective.statistics(leaves, x, y, self.eps, known)
        return Forward(sums, parts.proved, parts.combine)

    def _back(self, leaves: Params, forward: Forward, slopes: Sums) -> tuple[Tensor, ...]:
        return _gradients(list(forward.sums.values()), leaves, [slopes[name] for name in forward.sums])

    def _total(self, sums: Sums, combine: Callable[[Tensor], Tensor]) -> Tensor:
        """F: the loss, but for the L1 norm, from the sums over the whole batch."""
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


def _gradients(values: Sequence[Tensor], leaves: Params, slopes: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
    return torch.autograd.grad(values, list(leaves.values()), slopes, allow_unused=True, materialize_grads=True)


def _added(forwards: Sequence[Forward]) -> Sums:
    return {
        name: torch.stack([forward.sums[name].detach() for forward in forwards]).sum(0) for name in forwards[0].sums
    }


def _detached(forward: Forward) -> Forward:
    """Without the graph that led to the sums."""
    return forward._replace(sums={name: value.detach() for name, value in forward.sums.items()})
