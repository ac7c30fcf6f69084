"""Inputs within a ball of the 1-norm or the 2-norm, cut to a box, and how far a linear form falls there.

    { x :  |(x - centre) / radius|_p <= 1,  lower <= x <= upper }

With w = |A| · radius, and k in [0, 1] how many radii an entry may move to where A · x falls,

    min of A · (x - centre)  =  - max of w · t,  0 <= t <= k, |t|_p <= 1
    p = 1   >=  - sum k max(w - price, 0) - price                              a fractional knapsack (Dantzig 1957)
    p = 2   >=  - sum (w t - price t² / 2) - price / 2,   t = min(k, w / price)

for every price >= 0, with equality at the best one (Lagrange): no step towards that has to be exact. Where the box cuts
nothing away these are the dual norms, - max w and - |w|_2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..ops import Box
from ..ops.forms import Form, look
from ..region import Norm

_STEPS = 6  # towards the price, for p = 2
_ROOM = 1 << 21  # bytes of a part of the coefficients, of the few that are alive together


@dataclass(frozen=True)
class CutBall:
    """centre, radius [B, *v], and down, up [B, *v] in [0, 1]: how many radii each entry may fall or rise.

    A radius of 0 freezes an entry.
    """

    norm: Norm
    centre: Tensor
    radius: Tensor
    down: Tensor
    up: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> "CutBall":
        """The same with each tensor changed."""
        return CutBall(self.norm, *(change(part) for part in (self.centre, self.radius, self.down, self.up)))

    def least(self, form: Form) -> Tensor:
        """Lower bounds [B, M] of A · (x - centre)."""
        seen = (look(part.unsqueeze(1), form.window) for part in (self.radius, self.down, self.up))
        return _Least.apply(self.norm, form.coef, *seen).flatten(1)

    def lowest(self, slope: Tensor) -> Tensor:
        """The point [B, *v] where slope · x is least, for slopes [B, *v]."""
        _, share = _fall(self.norm, *_towards(*(part.flatten(1) for part in (slope, self.radius, self.down, self.up))))
        return self.centre - slope.sign() * self.radius * share.reshape(slope.shape)


Extent = Tensor | CutBall  # how far the entries of a value may lie from its centre: a radius each, or a ball


def changed(extent: Extent, change: Callable[[Tensor], Tensor]) -> Extent:
    return extent.each(change) if isinstance(extent, CutBall) else change(extent)


def cut_ball(norm: Norm, centre: Tensor, radius: Tensor, box: Box) -> CutBall:
    """The ball |(x - centre) / radius| <= 1 within a box [B, *v] that holds its centre."""

    def radii(distance: Tensor) -> Tensor:
        return torch.where(radius > 0, distance / radius, 0).clamp(0, 1)  # the ball ends at 1

    return CutBall(norm, centre, radius, radii(centre - box.lower), radii(box.upper - centre))


class _Least(torch.autograd.Function):
    """coef [B|1, L|1, R, q]; radius, down, up [B, L, 1, q]: [B, L, R], a part at a time."""

    @staticmethod
    def forward(ctx: Any, norm: Norm, coef: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> Tensor:
        batch, spots = (max(a, b) for a, b in zip(coef.shape[:2], radius.shape[:2], strict=True))
        rows, entries = coef.shape[2:]
        every = [part.expand(batch, spots, -1, -1) for part in (coef, radius, down, up)]
        differs = ctx.needs_input_grad[1]
        least = coef.new_empty(batch, spots, rows)
        deviation = coef.new_empty(batch, spots, rows, entries if differs else 0)
        room = max(1, _ROOM // (coef.element_size() * max(1, entries)))  # rows that fit
        images = max(1, room // (spots * rows))
        places = max(1, room // rows)
        for first in range(0, batch, images):
            for start in range(0, spots, places):
                for row in range(0, rows, room):
                    here = slice(first, first + images), slice(start, start + places)
                    own = every[0][here][:, :, row : row + room]
                    value, share = _fall(norm, *_towards(own, *(part[here] for part in every[1:])))
                    least[here][:, :, row : row + room] = value
                    if differs:
                        deviation[here][:, :, row : row + room] = -own.sign() * every[1][here] * share
        ctx.save_for_backward(deviation)
        ctx.shape = coef.shape
        return least

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, None, None]:
        (deviation,) = ctx.saved_tensors
        return None, (deviation * grad.unsqueeze(-1)).sum_to_size(ctx.shape), None, None, None


def _towards(coef: Tensor, radius: Tensor, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """w and k of the module's text, [..., q]."""
    return coef.abs() * radius, torch.where(coef > 0, down, up)


def _fall(norm: Norm, w: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """The bound [...] and the t [..., q] where it is taken."""
    value, share = (_fall_1 if norm is Norm.L1 else _fall_2)(w, k)
    return torch.maximum(value, -(w * k).sum(-1)), share


def _fall_1(w: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    ordered, order = w.sort(-1, descending=True)
    room = k.expand(w.shape).gather(-1, order)
    used = room.cumsum(-1)
    full = used >= 1
    first = full.to(torch.uint8).argmax(-1, keepdim=True)
    price = torch.where(full.any(-1, keepdim=True), ordered.gather(-1, first), 0)
    taken = torch.minimum(room, (1 - (used - room)).clamp(min=0))
    value = -(room * (ordered - price).clamp(min=0)).sum(-1) - price.squeeze(-1)
    return value, torch.zeros_like(w).scatter(-1, order, taken)


def _fall_2(w: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """From |w|_2, where nothing is cut away, the price falls as more and more entries reach their k."""
    squares, most = w * w, k * k
    price = squares.sum(-1, keepdim=True).sqrt()
    for _ in range(_STEPS):
        cut = w >= k * price
        left = 1 - torch.where(cut, most, 0).sum(-1, keepdim=True)
        lower = (torch.where(cut, 0, squares).sum(-1, keepdim=True) / left).sqrt()
        price = torch.where(left > 0, torch.minimum(lower, price), price)
    share = torch.where(w >= k * price, k, w / price)
    return -(share * (w - price * share / 2)).sum(-1) - price.squeeze(-1) / 2, share
