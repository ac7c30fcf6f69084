"""The program's sums for autograd, and for populations under `torch.func.vmap`."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .program import Program, Sums, Work


class Inputs(NamedTuple):
    """A box [B, *v] twice, and labels [B]."""

    lower: Tensor
    upper: Tensor
    labels: Tensor


def robust_sums(
    program: Program, inputs: Inputs, params: dict[str, Tensor], relaxation: str, *, every_box: bool
) -> Sums:
    """Sums over the images, of one network; differentiable in the parameters.

    every_box: whether the statistics count. Where they do not, the gradient is found along with the sums.
    """
    parts: list[Tensor] = []
    for layer in program.network.layers:
        weight = params[layer.weight]
        parts += [weight.flatten(), params[layer.bias] if layer.bias else weight.new_zeros(layer.map[0])]
    found = _Sums.apply(program, relaxation, every_box, torch.is_grad_enabled(), *inputs, torch.cat(parts)[None])
    return Sums(*(part[0] for part in found[:4]))


class _Sums(torch.autograd.Function):
    """Parameters [P, n] -> `Sums`, and the loss's gradient [P, n] where it is found at once."""

    @staticmethod
    def forward(
        program: Program,
        relaxation: str,
        every_box: bool,
        back: bool,
        lower: Tensor,
        upper: Tensor,
        labels: Tensor,
        parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        work = Work(lower, upper, labels, parameters.contiguous(), relaxation, every_box)
        if every_box or not back:
            return (*program.sums(work, keep=back), parameters.new_empty(len(parameters), 0))
        none = parameters.new_empty(1, 0)
        found = [program.gradient(member, 1.0, None, none) for member in work.members()]
        sums = [torch.cat(part) for part in zip(*(sums for sums, _ in found), strict=True)]
        return (*sums, torch.stack([gradient for _, gradient in found]).to(parameters.dtype))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.program, ctx.relaxation, ctx.every_box = inputs[:3]
        ctx.save_for_backward(*inputs[4:], *output[3:])
        ctx.mark_non_differentiable(output[1], *output[3:])

    @staticmethod
    def backward(ctx: Any, loss: Tensor, proved: Tensor, statistics: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        lower, upper, labels, parameters, boxes, gradient = ctx.saved_tensors
        if not ctx.every_box:
            gradient = loss[:, None].to(gradient.dtype) * gradient
        else:
            work = Work(lower, upper, labels, parameters, ctx.relaxation, ctx.every_box)
            found = [
                ctx.program.gradient(member, float(weight), slopes, kept)[1]
                for member, weight, slopes, kept in zip(work.members(), loss, statistics, boxes.split(1), strict=True)
            ]
            gradient = torch.stack(found).to(parameters.dtype)
        return (*[None] * 7, gradient)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], int]:
        *same, parameters = inputs
        if any(dim is not None for dim in dims[:-1]):
            raise NotImplementedError("members differ in their parameters only")
        merged = parameters.movedim(dims[-1], 0).flatten(0, 1)
        found = _Sums.apply(*same, merged)
        return tuple(part.unflatten(0, (info.batch_size, -1)) for part in found), 0
