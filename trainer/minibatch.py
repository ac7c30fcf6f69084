"""Loss and gradient of a mini-batch, evaluated in chunks that fit the cache and added up.

The cross-entropies are sums over images. The regulariser R is not, but it is a function of sums s over images; so
where there are several chunks, one pass without gradients finds s, and each chunk then adds its part of
dR/ds · s, whose gradient is that of R: equal to the whole batch up to rounding. Chunks run on a pool of threads and
are added in their order, so that the result does not depend on the number of threads.
"""

from concurrent.futures import Executor
from dataclasses import dataclass

import torch
from torch import Tensor

from . import regulariser
from .evaluation import Evaluation, Params
from .losses import l1_norm
from .objective import Objective


@dataclass(frozen=True)
class Minibatch:
    """Images x [B, *v] with labels y [B]; called with parameters it gives loss and gradient (an `Evaluate`).

    `reg_weight` (c) and `l1` weigh the regulariser and the L1 norm of the parameters named in `weights`.
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

    def __call__(self, params: Params) -> Evaluation:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        chunks = list(zip(self.x.split(self.chunk), self.y.split(self.chunk), strict=True))
        reg = _Linearised.of(self, leaves, chunks) if self.reg_weight > 0 and len(chunks) > 1 else None
        parts = list(self.pool.map(lambda chunk: self._differentiate(leaves, chunk, reg), chunks))
        if self.l1 > 0:
            norm = self.l1 * l1_norm(leaves, self.weights)
            parts.append((norm.detach(), torch.zeros(()), _gradients(norm, leaves)))
        loss = float(torch.stack([part[0] for part in parts]).sum())
        columns = zip(*(part[2] for part in parts), strict=True)
        gradient = {name: torch.stack(column).sum(0) for name, column in zip(leaves, columns, strict=True)}
        constant = 0.0 if reg is None else self.reg_weight * reg.constant
        return Evaluation(loss + constant, float(sum(part[1] for part in parts)) / len(self.x), gradient)

    def _differentiate(
        self, leaves: Params, chunk: tuple[Tensor, Tensor], reg: "_Linearised | None"
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        terms = self.objective.terms(leaves, *chunk, self.eps, self.reg_weight > 0)
        loss = terms.cross_entropy / len(self.x)
        if terms.sums is not None:
            penalty = regulariser.value(terms.sums) if reg is None else (reg.slope * terms.sums).sum()
            loss = loss + self.reg_weight * penalty.to(loss.dtype)
        return loss.detach(), terms.proved, _gradients(loss, leaves)


def _gradients(loss: Tensor, leaves: Params) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)


@dataclass(frozen=True)
class _Linearised:
    """R(s) near the batch's sums S: R = slope · s + constant at s = S, with R's gradient."""

    slope: Tensor
    constant: float

    @classmethod
    def of(cls, batch: Minibatch, leaves: Params, chunks: list[tuple[Tensor, Tensor]]) -> "_Linearised":
        @torch.no_grad()
        def sums(chunk: tuple[Tensor, Tensor]) -> Tensor:
            return batch.objective.statistics(leaves, *chunk, batch.eps)

        totals = torch.stack(list(batch.pool.map(sums, chunks))).sum(0).requires_grad_()
        value = regulariser.value(totals)
        (slope,) = torch.autograd.grad(value, totals)
        return cls(slope, float(value.detach() - (slope * totals.detach()).sum()))
