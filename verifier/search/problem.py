"""A clause over one input box: what branch and bound decides."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..bounds import Spec
from ..bounds.ball import CutBall
from ..bounds.substitution import Anchor, anchor, input_anchor
from ..graph import Graph
from ..ops import Box, Params, evaluate


@dataclass(frozen=True)
class Problem:
    """To prove: everywhere on the box, or in the part of it that the ball is cut to, some row of rows [M, K] · y +
    offset [M] is > 0. All tensors float64, without a batch axis; `pre` from DeepPoly.

    owner: number of the input; number: of the clause among that input's. What shares `pre` shares box and ball.
    """

    owner: int
    number: int
    box: Box
    rows: Tensor
    offset: Tensor
    pre: dict[str, Box]
    weights: Tensor | None = None  # [M] >= 0: a first guess of the rows' share in the proof
    ball: CutBall | None = None

    def region(self) -> tuple[Box, dict[str, Box], CutBall | None]:
        """box, pre and ball with a batch axis of one."""
        boxes = {name: Box(*(end[None] for end in known)) for name, known in self.pre.items()}
        ball = None if self.ball is None else self.ball.each(lambda part: part[None])
        return Box(*(end[None] for end in self.box)), boxes, ball


class Batch(NamedTuple):
    """Problems stacked for the bound engine, in one dtype."""

    params: Params
    base: Anchor
    spec: Spec
    pre: dict[str, Box]


def batch(graph: Graph, params: Params, problems: list[Problem], most: int = 1) -> Batch:
    """box and pre [D, *v], spec rows [D, M, K], in the dtype of `params`; M = `most`: a problem with fewer rows repeats
    its last."""
    dtype = next(iter(params.values())).dtype

    def stack(tensors: list[Tensor]) -> Tensor:
        return torch.stack(tensors).to(dtype)

    box = Box(stack([p.box.lower for p in problems]), stack([p.box.upper for p in problems]))
    spelled = [torch.arange(most).clamp(max=len(p.rows) - 1) for p in problems]
    spec = Spec(
        stack([p.rows[index] for p, index in zip(problems, spelled, strict=True)]),
        stack([p.offset[index] for p, index in zip(problems, spelled, strict=True)]),
    )
    pre = {
        name: Box(stack([p.pre[name].lower for p in problems]), stack([p.pre[name].upper for p in problems]))
        for name in problems[0].pre
    }
    ball = _stacked([p.ball for p in problems], dtype)
    base = input_anchor(graph, params, box) if ball is None else anchor(graph, params, box, ball)
    return Batch(params, base, spec, pre)


def rows_at(graph: Graph, work: Batch, points: Tensor) -> Tensor:
    """The network's own largest row at each of the points [D, *v]: [D]."""
    rows = (work.spec.rows * evaluate(graph, work.params, points).unsqueeze(1)).sum(2) + work.spec.offset
    return rows.amax(1)


def _stacked(balls: list[CutBall | None], dtype: torch.dtype) -> CutBall | None:
    """One ball with a batch axis; the problems of a search all have one, of one norm, or none has."""
    given = [ball for ball in balls if ball is not None]
    if not given:
        return None
    if len(given) < len(balls) or len({ball.norm for ball in given}) > 1:
        raise ValueError("problems over balls and over boxes, or of several norms, cannot be bounded together")
    parts = zip(*((ball.centre, ball.radius, ball.down, ball.up) for ball in given), strict=True)
    return CutBall(given[0].norm, *(torch.stack(part).to(dtype) for part in parts))
