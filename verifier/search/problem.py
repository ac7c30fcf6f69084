"""A clause over one region of inputs: what branch and bound decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..engine.anchor import Anchor
from ..engine.ball import CutBall
from ..engine.engine import Engine
from ..engine.plan import Array
from ..engine.substitution import Spec
from ..functions import Box


@dataclass(frozen=True)
class Problem:
    """To prove: everywhere on the box [n], or in the part of it that the ball is cut to, some row of rows [M, K] · y +
    offset [M] is > 0. All arrays float64, without a batch axis; `pre` from DeepPoly.

    owner: number of the input; number: of the clause among that input's. What shares `pre` shares box and ball. margin:
    what a bound has to exceed to be a proof, about: what a search in float32 aims beyond.
    """

    owner: int
    number: int
    box: Box
    rows: Array
    offset: Array
    pre: Mapping[str, Box]
    weights: Array | None = None  # [M] >= 0: a first guess of the rows' share in the proof
    ball: CutBall | None = None
    margin: float = 0.0

    def region(self) -> tuple[Anchor, dict[str, Box]]:
        """Where it ends, and `pre`, with a batch axis of one."""
        ball = None if self.ball is None else self.ball.each(lambda part: part[None])
        boxes = {name: Box(known.lower[None], known.upper[None]) for name, known in self.pre.items()}
        return Anchor(Box(self.box.lower[None], self.box.upper[None]), ball), boxes


class Batch(NamedTuple):
    """Problems stacked for bounds in the engine's dtype: spec rows [D, M, K], boxes pre [D, n]. To be read only."""

    engine: Engine
    anchor: Anchor
    spec: Spec
    pre: dict[str, Box]


def batch(engine: Engine, problems: Sequence[Problem], most: int = 1) -> Batch:
    """M = `most`: a problem with fewer rows repeats its last."""
    first = {id(problem): place for place, problem in reversed(list(enumerate(problems)))}
    each = sorted(first.values())  # of every problem once
    places = {place: number for number, place in enumerate(each)}
    index = np.array([places[first[id(problem)]] for problem in problems])

    def stacked(part: Callable[[Problem], Array]) -> Array:
        found = np.stack([part(problems[place]) for place in each]).astype(engine.dtype, copy=False)
        return found[index] if len(each) > 1 else np.broadcast_to(found, (len(index), *found.shape[1:]))

    def spelled(problem: Problem) -> Array:
        return np.minimum(np.arange(most), len(problem.rows) - 1)

    box = Box(stacked(lambda p: p.box.lower), stacked(lambda p: p.box.upper))

    def aimed(problem: Problem) -> Array:
        offset = problem.offset[spelled(problem)]
        return offset - problem.margin if engine.dtype == np.float32 else offset

    spec = Spec(stacked(lambda p: p.rows[spelled(p)]), stacked(aimed))
    pre = {
        name: Box(*(stacked(lambda p, name=name, end=end: p.pre[name][end]) for end in (0, 1)))  # type: ignore[misc]
        for name in problems[0].pre
    }
    return Batch(engine, Anchor(box, _ball(problems, stacked)), spec, pre)


def rows_at(work: Batch, points: Array) -> Array:
    """The network's own largest row at each of the points [D, n]: [D]."""
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = work.engine.evaluate(points)
        return np.asarray(((work.spec.rows @ outputs[:, :, None])[:, :, 0] + work.spec.offset).max(1))


def _ball(problems: Sequence[Problem], stacked: Callable[[Callable[[Problem], Array]], Array]) -> CutBall | None:
    """One ball with a batch axis; the problems of a search all have one, of one norm, or none has."""
    given = [problem.ball for problem in problems if problem.ball is not None]
    if not given:
        return None
    if len(given) < len(problems) or len({ball.norm for ball in given}) > 1:
        raise ValueError("problems over balls and over boxes, or of several norms, cannot be bounded together")

    def part(name: str) -> Array:
        return stacked(lambda problem: getattr(problem.ball, name))

    return CutBall(given[0].norm, *map(part, ("centre", "radius", "down", "up")))
