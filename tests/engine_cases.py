"""One random network as the engine has it, with boxes, balls and specifications: all flat, in numpy."""

from typing import NamedTuple

import numpy as np

from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.ball import CutBall, cut_ball
from glscert.verifier.engine.dual_values import Cuts, Dual
from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.substitution import Spec, relax, substituted
from glscert.verifier.functions import Box
from random_graphs import CURVED, GRAPHS
from reference import forward


class EngineCase(NamedTuple):
    engine: Engine
    box: Box  # [B, n], widths differing per entry, some of them 0
    spec: Spec  # rows [B, M, K], offset [B, M]
    rng: np.random.Generator

    @property
    def anchor(self) -> Anchor:
        return Anchor(self.box)


def engine_case(name, seed=0, *, batch=2, rows=3, radius=0.3, make=None) -> EngineCase:
    rng = np.random.default_rng([seed, *name.encode()])
    engine = Engine(*(make or (GRAPHS | CURVED)[name])(rng))
    centre = rng.uniform(-1, 1, size=(batch, engine.inputs))
    below, above = rng.uniform(0, radius, size=(2, *centre.shape)) * (rng.random((2, *centre.shape)) > 0.1)
    spec = Spec(rng.normal(size=(batch, rows, engine.outputs)), rng.normal(size=(batch, rows)))
    return EngineCase(engine, Box(centre - below, centre + above), spec, rng)


def random_ball(case, norm, *, cut=0.5, radius=0.8) -> tuple[Box, CutBall]:
    """A ball in the case's box's place, radii differing by entry and some 0, and its box, which cuts some entries."""
    rng = case.rng
    centre = (case.box.lower + case.box.upper) / 2
    radii = rng.uniform(0.2, radius, centre.shape) * (rng.random(centre.shape) > 0.1)
    down, up = (np.where(rng.random(centre.shape) < cut, rng.uniform(0, 1, centre.shape), 1) for _ in range(2))
    box = Box(centre - radii * down, centre + radii * up)
    return box, cut_ball(norm, centre, radii, box)


def preactivations(engine, anchor, slopes=None) -> dict[str, Box]:
    """The boxes [B, n] of the nonlinearities' inputs by back-substitution, each from those before it; slopes [B, 1, n]
    of the lines, by name."""
    pre = {}
    for name, bend in engine.bends.items():
        eye = np.eye(bend.size, dtype=engine.dtype)
        rows = np.concatenate([eye, -eye])[None]
        least = substituted(engine, bend.into, rows, relax(engine, pre, slopes), anchor, keep=False).least(anchor)
        pre[name] = Box(least[:, : bend.size], -least[:, bend.size :])
    return pre


def values_at(case, points) -> dict[str, np.ndarray]:
    """Values [S, B, n] by name at points [S, B, n], by the plain definition of the operators."""
    graph = case.engine.graph
    found = forward(graph, case.engine.params, points.reshape(-1, *graph.input_shape))
    return {name: value.reshape(*points.shape[:2], -1) for name, value in found.items()}


def rows_at(case, values) -> np.ndarray:
    """The specification's rows [S, B, M] there."""
    return np.einsum("bmk,sbk->sbm", case.spec.rows, values[case.engine.graph.output]) + case.spec.offset


def points_in(box, rng, count=200) -> np.ndarray:
    """Random points and corners [S, B, n]."""
    lower, upper = box
    within = lower + (upper - lower) * rng.random((count, *lower.shape))
    return np.concatenate([within, np.where(rng.random(within.shape) < 0.5, lower, upper)])


def random_dual(pre, rows, rng, scale=1.0) -> Dual:
    shapes = {name: (len(box.lower), rows, box.lower.shape[1]) for name, box in pre.items()}
    slopes = {name: rng.random(shape) for name, shape in shapes.items()}
    return Dual(slopes, {name: scale * rng.normal(size=shape) for name, shape in shapes.items()})


def random_splits(engine, pre, values, rng, *, share=0.3, times=1) -> tuple[dict[str, Box], dict[str, Cuts]]:
    """Boxes cut at `Function.cut` of some unstable neurons, to the sides on which one point [S, B, n] of the values by
    name lies, and where."""
    boxes = dict(pre)
    for _ in range(times):
        for name, box in boxes.items():
            function, seen = engine.bends[name].function, values[name][0]
            at = function.cut(box)
            chosen = function.unstable(box) & (rng.random(at.shape) < share)
            lower, upper = np.where(chosen & (seen >= at), at, box.lower), np.where(chosen & (seen < at), at, box.upper)
            boxes[name] = Box(lower, upper)
    return boxes, {n: Cuts(boxes[n].lower > box.lower, boxes[n].upper < box.upper) for n, box in pre.items()}


def of_the_cuts(dual, cuts) -> Dual:
    """As a search has it: multipliers of neurons that are split alone, of the sign of their side."""
    sides = {name: np.subtract(cut.upper, cut.lower, dtype=float)[:, None] for name, cut in cuts.items()}
    return dual._replace(multipliers={name: abs(value) * sides[name] for name, value in dual.multipliers.items()})
