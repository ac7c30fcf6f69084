"""The loss of a whole population of weights on one mini-batch: `torch.func.vmap` over the members, no gradient.

Images and members are cut into chunks that keep the memory budget, and the losses of a member's images are added up
in order, in float64: neither the number of threads nor that of processes changes a bit of the result.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from glscert.verifier.bounds.device import exact_float32
from glscert.verifier.errors import InputError

from . import regulariser
from .evaluation import Params
from .losses import l1_norm, nominal_cross_entropy
from .memory import peak_bytes
from .objective import Objective

MEBIBYTE = 2**20


class Batch(NamedTuple):
    """A mini-batch: images x [B, *v], labels y [B], the radius, the regulariser's weight c, and the relaxation.

    None: the objective's own.
    """

    x: Tensor
    y: Tensor
    eps: float
    reg_weight: float = 0.0
    relaxation: str | None = None


@dataclass(frozen=True)
class Population:
    """Called with stacked parameters (each [P, *shape]) and a `Batch`: loss [P] and share of images proved [P].

    `images` and `members` are the most of each in one evaluation; `device` is where the evaluations run.
    """

    objective: Objective
    images: int
    members: int
    device: torch.device
    l1: float = 0.0
    weights: tuple[str, ...] = ()

    @torch.no_grad()
    def __call__(self, stack: Params, batch: Batch, pool: Executor | None = None) -> tuple[Tensor, Tensor]:
        """Threads of `pool` share the chunks. The results are float64 on the stack's device."""
        home = next(iter(stack.values())).device
        stack = {name: value.to(self.device) for name, value in stack.items()}
        batch = batch._replace(x=batch.x.to(self.device), y=batch.y.to(self.device))
        groups = list(_split(stack, self.members))
        images = list(zip(batch.x.split(self.images), batch.y.split(self.images), strict=True))
        tasks = [(group, chunk) for group in groups for chunk in images]
        with exact_float32(self.device):  # here, as actors are processes of their own
            sums = list((map if pool is None else pool.map)(lambda task: self._sums(task[0], task[1], batch), tasks))
        found = [
            self._finish(group, sums[i * len(images) : (i + 1) * len(images)], batch) for i, group in enumerate(groups)
        ]
        losses, shares = (torch.cat(column).to(home) for column in zip(*found, strict=True))
        return losses, shares

    @torch.no_grad()  # here too, as a pool's threads do not inherit it
    def _sums(self, group: Params, chunk: tuple[Tensor, Tensor], batch: Batch) -> tuple[Tensor, ...]:
        """Cross-entropy, images proved, and the regulariser's sums if it has a weight; a row per member, float64."""
        objective, (x, y), weight = self.objective, chunk, self.objective.robust_weight

        def one(params: Params) -> tuple[Tensor, ...]:
            every_box = batch.reg_weight > 0
            parts = objective.robust_loss(params, x, y, batch.eps, batch.relaxation, every_box=every_box)
            loss = weight * parts.terms.sum().double()
            if weight < 1:
                loss = loss + (1 - weight) * nominal_cross_entropy(objective.scores(params, x), y).double()
            assert parts.proved is not None
            sums: tuple[Tensor, ...] = (loss, parts.proved.double())
            if batch.reg_weight > 0:
                sums = (*sums, objective.statistics(params, x, y, batch.eps, parts))
            return sums

        return vmap(one)(group)

    def _finish(self, group: Params, sums: list[tuple[Tensor, ...]], batch: Batch) -> tuple[Tensor, Tensor]:
        totals = [torch.stack(column).sum(0) for column in zip(*sums, strict=True)]
        loss, share = (total / len(batch.x) for total in totals[:2])
        if batch.reg_weight > 0:
            loss = loss + batch.reg_weight * vmap(regulariser.value)(totals[2])
        if self.l1 > 0:
            loss = loss + self.l1 * vmap(lambda params: l1_norm(params, self.weights))(group)
        return loss, share

    def within(self, budget: float, params: Params, example: Batch) -> "Population":
        """The same with fewer images or members at a time, so that an evaluation takes at most `budget` MiB.

        Measured on the example's shapes (values do not matter), at few members and then at as many as should fit.
        Raises InputError where one image of one member takes more.
        """

        def peak(images: int, members: int) -> int:
            stack = {name: p.to(self.device).expand(members, *p.shape).clone() for name, p in params.items()}
            x = example.x[:1].to(self.device).expand(images, *example.x.shape[1:])
            chunk = (x, example.y[:1].to(self.device).expand(images))
            return peak_bytes(lambda: self._sums(stack, chunk, example))

        images, room = self.images, budget * MEBIBYTE
        while (single := peak(images, 1)) > room and images > 1:
            images //= 2
        if single > room:
            raise InputError(
                f"memory_budget = {budget:g} MiB is too little: the bounds of one image take "
                f"{single / MEBIBYTE:.1f} MiB. Give more, or choose a smaller net or a looser relaxation."
            )
        each = max(1, peak(images, 2) - single)
        members = min(self.members, 1 + int((room - single) // each))
        while members > 1 and (taken := peak(images, members)) > room:
            members = min(members - 1, int(members * room / taken))
        return replace(self, images=images, members=max(1, members))


def _split(stack: Params, members: int) -> Iterable[Params]:
    parts = {name: value.split(members) for name, value in stack.items()}
    return (dict(zip(parts, part, strict=True)) for part in zip(*parts.values(), strict=True))
