"""What is taken off for rounding covers what rounding does: in float32, against the same lines in float64."""

import numpy as np
import pytest

from engine_cases import EngineCase, engine_case, points_in, preactivations, values_at
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.ball import cut_ball
from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.errors import Errors, analysed, by_intervals, in_range
from glscert.verifier.engine.images import affine_images, images
from glscert.verifier.engine.neuron_rows import Neurons, neuron_bounds
from glscert.verifier.engine.steps import Bend
from glscert.verifier.engine.substitution import Spec, relax, spec_bound, substituted
from glscert.verifier.engine.zonotope import input_zonotope, through
from glscert.verifier.functions import Box
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS, Builder

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
ANCHORS = ("box", Norm.L2, Norm.L1)
KINDS = (np.float32, np.float64)


def rounded(value):
    return None if value is None else value.astype(np.float32).astype(np.float64)


def in_dtype(kind, values):
    """Named tuples of arrays."""
    return {n: own._make(None if part is None else part.astype(kind) for part in own) for n, own in values.items()}


class Both:
    """A case whose every number is a float32, in both precisions."""

    def __init__(self, name, seed, norm="box", radius=0.5, scale=1.0, make=None):
        case = engine_case(name, seed, batch=3, radius=radius, make=make)
        params = {key: rounded(scale * rounded(value)) for key, value in case.engine.params.items()}
        self.engine = Engine(case.engine.graph, params)
        self.engines = self.engine.single, self.engine
        box, spec = Box(*map(rounded, case.box)), Spec(*map(rounded, case.spec))
        self.case = EngineCase(self.engine, box, spec, case.rng)
        self.specs = [Spec(*(part.astype(kind) for part in spec)) for kind in KINDS]
        self.anchor = Anchor(box)
        if norm != "box":
            centre, reach = rounded((box.lower + box.upper) / 2), rounded((box.upper - box.lower) / 2)
            ball = cut_ball(norm, centre, reach, box)
            self.anchor = Anchor(box, ball.each(rounded))
        self.anchors = [self.anchor.astype(kind) for kind in KINDS]
        self.pre = {n: Box(*map(rounded, own)) for n, own in preactivations(self.engine, self.anchor).items()}
        self.lines = self.both({n: own._make(map(rounded, own)) for n, own in relax(self.engine, self.pre).items()})
        self.errors = self.analysed()

    @staticmethod
    def both(lines):
        return [in_dtype(kind, lines) for kind in KINDS]

    def analysed(self):
        """As `analysed`, of float32."""
        errors = Errors(self.engine, self.anchor, dtype=np.float32)
        for step in self.engine.steps:
            errors.reach(step, self.pre.get(step.name) if isinstance(step, Bend) else None)
        return errors

    def each(self, bound):
        """In float32 and in float64."""
        found, true = (bound(*pair) for pair in zip(self.engines, self.anchors, self.specs, self.lines, strict=True))
        assert (found.dtype, true.dtype) == KINDS
        return found, true


def covered(found, true, most):
    """Whether bounds in float32 lie at most so much above those in float64; how many differ."""
    assert (found.astype(np.float64) - true <= most).all()
    assert np.isfinite(most).all()
    return int((found.astype(np.float64) != true).sum())


def crowd(rng):
    """A value that 40 others read."""
    builder = Builder((6,), rng)
    value = builder.relu(builder.gemm("x", 8))
    total = builder.gemm(value, 5)
    for _ in range(40):
        total = builder.join("Add", total, builder.gemm(value, 5))
    return builder.finish(builder.gemm(builder.relu(total), 3))


@pytest.mark.parametrize("norm", ANCHORS)
@pytest.mark.parametrize("name", [*WITH_RELU, *CURVED, "crowd"])
def test_neurons(name, norm):
    both, differ = Both(name, 34, norm, make=crowd if name == "crowd" else None), 0
    for value, bend in both.engine.bends.items():
        for sign in (1, -1):
            rows = sign * np.eye(bend.size)[None]
            found, true = both.each(
                lambda engine, anchor, _, lines, rows=rows, bend=bend: substituted(
                    engine, bend.into, rows.astype(engine.dtype), lines, anchor
                ).least(anchor)
            )
            differ += covered(found, true, both.errors.whole[bend.into])
        assert (both.errors.whole[bend.into] >= 0.999 * both.errors.own[bend.into]).all(), value
    assert differ


@pytest.mark.parametrize("name", [*WITH_RELU, *CURVED])
def test_neurons_by_the_program(name):
    both, differ = Both(name, 31), 0
    for value, bend in both.engine.bends.items():
        box, neuron = (part.ravel() for part in np.indices((3, bend.size)))
        for sign in (np.ones(len(box)), -np.ones(len(box))):
            (single, exact), lines, neurons = both.engines, both.lines, Neurons(value, neuron, sign, box)
            found = neuron_bounds(single, neurons, lines[0], both.anchors[0])
            true = neuron_bounds(exact, neurons, lines[1], both.anchor)
            less = neuron_bounds(single, neurons, lines[0], both.anchors[0], both.errors)
            assert less.dtype == np.float32 and (less.astype(np.float64) <= true).all()
            differ += covered(found, true, found.astype(np.float64) - less + 1e-12)
    assert differ


@pytest.mark.parametrize("scale", (1.0, 30.0))
@pytest.mark.parametrize("norm", ANCHORS)
@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_rows(name, norm, scale):
    both = Both(name, 35, norm, scale=scale)
    found, true = both.each(lambda engine, anchor, spec, lines: spec_bound(engine, spec, lines, anchor))
    whole = both.errors.rows(*both.specs[1])
    covered(found, true, whole)
    own = substituted(both.engine, both.engine.output, both.specs[1].rows, both.lines[1], both.anchor)
    closer = both.errors.met(*both.specs[1], own.met)
    covered(found, true, closer)
    assert (closer <= 1.1 * whole).all()


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_intervals(name):
    both = Both(name, 36)
    single, exact = (images(engine, anchor.box) for engine, anchor in zip(both.engines, both.anchors, strict=True))
    errors = Errors(both.engine, both.anchor, dtype=np.float32)
    for step in both.engine.steps:
        box = None
        if isinstance(step, Bend):  # what float32 had, with all that rounded on the way
            lower, upper = (end.astype(np.float64) for end in single[step.into])
            box = Box(lower - errors.whole[step.into], upper + errors.whole[step.into])
        errors.reach(step, box)
        for found, true, sign in zip(single[step.out], exact[step.out], (1, -1), strict=True):
            covered(sign * found, sign * true, errors.whole[step.out])


@pytest.mark.parametrize("norm", (Norm.L2, Norm.L1))
@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_affine_images_of_balls(name, norm):
    both = Both(name, 40, norm)
    single, exact = (affine_images(engine, anchor) for engine, anchor in zip(both.engines, both.anchors, strict=True))
    for number, box in exact.items():
        for found, true, sign in zip(single[number], box, (1, -1), strict=True):
            covered(sign * found, sign * true, both.errors.own[number])


@pytest.mark.parametrize("met", (True, False))
@pytest.mark.parametrize("name", WITH_RELU)
def test_multipliers_of_splits(name, met):
    both, rng = Both(name, 37), np.random.default_rng(37)
    multipliers, ends = {}, {}
    for value, box in both.pre.items():
        shape = (3, both.specs[1].rows.shape[1], box.lower.shape[1])
        multipliers[value] = rounded(rng.normal(size=shape) * (rng.random(shape) < 0.5))
        ends[value] = np.where(multipliers[value] > 0, box.upper[:, None], box.lower[:, None])

    def bound(engine, anchor, spec, lines):
        kind = engine.dtype
        own = {value: part.astype(kind) for value, part in multipliers.items()}
        held = sum((own[value] * ends[value].astype(kind)).sum(2) for value in own)
        return spec_bound(engine, spec, lines, anchor, own) - held

    if met:
        seen = substituted(both.engine, both.engine.output, both.specs[1].rows, both.lines[1], both.anchor, multipliers)
        most = both.errors.met(*both.specs[1], seen.met)
    else:
        most = both.errors.rows(*both.specs[1])
    covered(*both.each(bound), most + both.errors.multiplied(multipliers, met=met))


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_zonotopes(name):
    both = Both(name, 33, radius=0.4)
    single, exact = ({0: input_zonotope(anchor.box)} for anchor in both.anchors)
    values = values_at(both.case, points_in(both.case.box, both.case.rng, 100))
    names = {number: value for value, number in both.engine.number.items()}
    for narrow, step in zip(both.engines[0].steps, both.engine.steps, strict=True):
        box = both.pre.get(step.name) if isinstance(step, Bend) else None
        own = through(narrow, single, None if box is None else Box(*(end.astype(np.float32) for end in box)))
        inputs = (step.into,) if isinstance(step, Bend) else step.inputs
        before = [type(own)(*(part.astype(np.float64) for part in single[number])) for number in inputs]
        wide = both.errors.beyond(step, before, type(own)(*(part.astype(np.float64) for part in own)), box)
        single[step.out] = type(own)(*(part.astype(np.float32) for part in wide))
        exact[step.out] = through(step, exact, box)
        held, true = single[step.out].box(), exact[step.out].box()
        if step.out in names:
            seen = values[names[step.out]]
            assert (held.lower <= seen).all() and (held.upper >= seen).all()
        if name in GRAPHS:  # a curve's lines are others in another precision
            assert (held.lower <= true.lower + 1e-9).all() and (held.upper >= true.upper - 1e-9).all()


@pytest.mark.parametrize("bad", (float("nan"), float("inf")))
def test_a_bound_that_is_no_number_proves_nothing(bad):
    case = engine_case("gemm_only", 12)
    pre = preactivations(case.engine, case.anchor)
    name = next(iter(pre))
    upper = pre[name].upper.copy()
    upper[1, 0] = bad
    needed = analysed(case.engine, case.anchor, {**pre, name: Box(pre[name].lower, upper)}).rows(*case.spec)
    assert np.isfinite(needed[0]).all()
    assert not (1e300 > needed[1]).any()


def test_what_a_runtime_cannot_hold_is_out_of_range():
    case = engine_case("gemm_only", 12)
    wide = Box(case.box.lower - 1e308, case.box.upper + 1e308)
    assert in_range(case.engine, case.box) and not in_range(case.engine, wide)
    assert not np.isfinite(by_intervals(case.engine, Anchor(wide)).rows(*case.spec)).any()


def test_some_of_the_boxes():
    both = Both("residual", 38)
    index = np.array([2, 0])
    alone = both.errors.of(index)
    for kind in ("sizes", "own", "whole", "lining"):
        for key, part in getattr(alone, kind).items():
            np.testing.assert_array_equal(part, getattr(both.errors, kind)[key][index])
    rows, offset = both.specs[1]
    np.testing.assert_array_equal(alone.rows(rows[index], offset[index]), both.errors.rows(rows, offset)[index])
