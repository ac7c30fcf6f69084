"""Balls of the 1-norm and the 2-norm, cut to a box: sound, exact where all is affine, tighter than what they lie in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_cases import engine_case, preactivations, random_ball, random_dual, rows_at, values_at
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.ball import cut_ball
from glscert.verifier.engine.dual import dual_bounds
from glscert.verifier.engine.gradient import outputs_and_gradient
from glscert.verifier.engine.plain_rows import PlainRows
from glscert.verifier.engine.substitution import relax, spec_bound
from glscert.verifier.functions import Box
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS, arbitrary_convs

BALLS = (Norm.L2, Norm.L1)
POWER = {Norm.L1: 1, Norm.L2: 2}


def sampled(ball, box, rng, count=60):
    """Points [S, B, n] of the ball within the box: on few entries or on many, on the ball's edge or within."""
    shape = (count, *ball.centre.shape)
    steps = rng.normal(size=shape) * (rng.random(shape) < rng.random((count, 1, 1)))
    steps /= np.maximum(np.linalg.norm(steps, POWER[ball.norm], 2, keepdims=True), 1e-12)
    steps[::2] *= rng.random((len(steps[::2]), shape[1], 1))
    points = ball.centre + ball.radius * steps
    return np.minimum(np.maximum(points, box.lower), box.upper)  # which leads towards the centre


def adversarial(case, ball, steps=3):
    """Where the gradient of each row leads, from the centre and again from there: [steps · M, B, n]."""
    points = []
    for row in range(case.spec.rows.shape[1]):
        x = ball.centre
        for _ in range(steps):
            _, pull = outputs_and_gradient(case.engine, x)
            x = ball.lowest(pull(case.spec.rows[:, row]))
            points.append(x)
    return np.stack(points)


def inside(points, ball, box):
    """Up to rounding."""
    moves = points - ball.centre
    frozen = ball.radius == 0
    shares = abs(moves) / np.where(frozen, 1, ball.radius)
    assert (moves[:, frozen] == 0).all()
    assert (np.linalg.norm(shares, POWER[ball.norm], 2) <= 1 + 1e-12).all()
    return bool((points >= box.lower - 1e-12).all() and (points <= box.upper + 1e-12).all())


def bounds_of(case, anchor):
    """What the verifier computes: DeepPoly's, and a dual bound of any slopes and no splits; with the boxes."""
    pre = preactivations(case.engine, anchor)
    yield spec_bound(case.engine, case.spec, relax(case.engine, pre), anchor), pre
    dual = random_dual(pre, case.spec.rows.shape[1], case.rng)
    yield dual_bounds(case.engine, case.spec, pre, dual, None, anchor).bound, pre


def assert_sound(case, norm):
    box, ball = random_ball(case, norm)
    points = np.concatenate([sampled(ball, box, case.rng), adversarial(case, ball), ball.centre[None]])
    assert inside(points, ball, box)
    values = values_at(case, points)
    rows = rows_at(case, values)
    for lower, pre in bounds_of(case, Anchor(box, ball)):
        assert (rows - lower).min() >= -1e-9 * max(1.0, abs(rows).max())
        for name, known in pre.items():
            slack = 1e-9 * max(1.0, abs(values[name]).max())
            assert (values[name] >= known.lower - slack).all() and (values[name] <= known.upper + slack).all(), name


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("seed", (10, 11))
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_no_point_beats_a_bound(name, seed, norm):
    assert_sound(engine_case(name, seed), norm)


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 10**6))
def test_no_point_beats_a_bound_of_arbitrary_convolutions(norm, seed):
    assert_sound(engine_case("arbitrary", seed, make=arbitrary_convs), norm)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_set_within_another_has_no_worse_bounds(name):
    """The 1-norm's ball within the 2-norm's within the box, over the same lines."""
    case = engine_case(name, 12)
    box, large = random_ball(case, Norm.L2)
    small = cut_ball(Norm.L1, large.centre, large.radius, box)
    anchors = [Anchor(box, ball) for ball in (None, large, small)]
    lines = relax(case.engine, preactivations(case.engine, anchors[0]))
    found = [spec_bound(case.engine, case.spec, lines, anchor) for anchor in anchors]
    for looser, tighter in zip(found, found[1:], strict=False):
        assert (tighter >= looser - 1e-12 * np.maximum(abs(looser), 1)).all()


@pytest.mark.parametrize("norm", BALLS)
def test_the_dual_norm_on_an_affine_network(norm):
    """A · centre + b - |A · radius|_q, q = 2 for p = 2 and infinite for p = 1, where the box cuts nothing away."""
    case = engine_case("affine_only", 13)
    box, ball = random_ball(case, norm, cut=0.0)
    bound = spec_bound(case.engine, case.spec, {}, Anchor(box, ball))
    y, pull = outputs_and_gradient(case.engine, ball.centre)
    rows = (case.spec.rows * y[:, None]).sum(2) + case.spec.offset
    for row in range(rows.shape[1]):
        dual = np.linalg.norm(pull(case.spec.rows[:, row]) * ball.radius, 2 if norm is Norm.L2 else np.inf, 1)
        np.testing.assert_allclose(bound[:, row], rows[:, row] - dual, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 10**6), cut=st.sampled_from((0.0, 0.3, 0.9)))
def test_a_point_of_the_set_attains_the_bound_of_a_form(norm, seed, cut):
    """So the bound is the minimum over the ball cut to the box; for p = 2 up to the steps that were taken."""
    case = engine_case("gemm_only", seed)
    box, ball = random_ball(case, norm, cut=cut)
    slope = case.rng.normal(size=ball.centre.shape) ** 3
    point = ball.lowest(slope)
    assert inside(point[None], ball, box)
    least, reached = ball.least(slope[:, None])[:, 0], (slope * (point - ball.centre)).sum(1)
    np.testing.assert_allclose(least, reached, rtol=1e-2 if norm is Norm.L2 else 1e-9)
    assert (least <= reached + 1e-12).all()
    np.testing.assert_array_equal(ball.lowest(slope[:, None])[:, 0], point)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", ("conv_chain", "groups_and_dilation", "residual"))
def test_parts_and_single_inputs_give_the_same(name, norm, monkeypatch):
    """The rows are taken a part at a time where they are many."""
    case = engine_case(name, 14, batch=3)
    box, ball = random_ball(case, norm)
    lines = relax(case.engine, preactivations(case.engine, Anchor(box, ball)))
    together = spec_bound(case.engine, case.spec, lines, Anchor(box, ball))
    monkeypatch.setattr("glscert.verifier.engine.ball._ROOM", 1 << 10)
    np.testing.assert_array_equal(spec_bound(case.engine, case.spec, lines, Anchor(box, ball)), together)
    for row in range(3):
        alone = Anchor(box, ball).take([row])
        own = {n: line._make(None if part is None else part[[row]] for part in line) for n, line in lines.items()}
        spec = case.spec._make(part[[row]] for part in case.spec)
        np.testing.assert_allclose(spec_bound(case.engine, spec, own, alone), together[[row]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", ("conv_chain", "deep_convs"))
def test_the_compiled_program_takes_no_ball(name, norm):
    """What it would make of one is a box."""
    case = engine_case(name, 17)
    box, ball = random_ball(case, norm)
    pre = preactivations(case.engine, Anchor(box))
    dual = random_dual(pre, 3, case.rng)
    expected = spec_bound(case.engine, case.spec, relax(case.engine, pre, dual.slopes), Anchor(box, ball))
    found, around = (
        dual_bounds(case.engine, case.spec, pre, dual, None, anchor).bound
        for anchor in (Anchor(box, ball), Anchor(box))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert (found > around).any()


@pytest.mark.parametrize("norm", BALLS)
def test_where_a_form_is_least_is_the_gradient_of_its_least_value(norm):
    case = engine_case("gemm_only", 15)
    _, ball = random_ball(case, norm, cut=0.3)
    coef = case.rng.normal(size=(2, 4, case.engine.inputs))
    gradient = ball.lowest(coef) - ball.centre[:, None]
    for entry in range(case.engine.inputs):
        moved = [np.copy(coef) for _ in range(2)]
        moved[0][:, :, entry] -= 1e-6
        moved[1][:, :, entry] += 1e-6
        slope = (ball.least(moved[1]) - ball.least(moved[0])) / 2e-6
        np.testing.assert_allclose(slope, gradient[:, :, entry], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", BALLS)
def test_a_ball_of_radius_0_is_its_centre(norm):
    case = engine_case("conv_chain", 16)
    centre = (case.box.lower + case.box.upper) / 2
    box = Box(centre, centre)
    ball = cut_ball(norm, centre, np.zeros_like(centre), box)
    exact = (case.spec.rows * case.engine.evaluate(centre)[:, None]).sum(2) + case.spec.offset
    for lower, _ in bounds_of(case, Anchor(box, ball)):
        np.testing.assert_allclose(lower, exact, rtol=0, atol=1e-9)


def test_rows_in_numpy_go_a_part_at_a_time(monkeypatch):
    """Where they would take much memory together, over balls and with all that there is to see."""
    case = engine_case("residual", 18, batch=3)
    box, ball = random_ball(case, Norm.L2)
    pre = preactivations(case.engine, Anchor(box, ball))
    given = (case.engine, case.spec, pre, random_dual(pre, 3, case.rng), None, Anchor(box, ball))
    together = dual_bounds(*given, steps=2)
    entries = sum(case.engine.size(number) for number in range(len(case.engine.plan.values)))
    monkeypatch.setattr("glscert.verifier.engine.plain_rows._ROOM", 4 * 8 * entries * 2)  # of two rows
    assert PlainRows(case.engine)._most == 2
    parts = dual_bounds(*given, steps=2, look=True)
    np.testing.assert_allclose(parts.bound, together.bound, rtol=1e-12, atol=1e-12)
    for name in pre:
        np.testing.assert_allclose(parts.dual.slopes[name], together.dual.slopes[name], rtol=1e-9, atol=1e-9)
        assert parts.shown().met[name].shape == together.dual.slopes[name].shape
