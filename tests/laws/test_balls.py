"""Balls of the 1-norm and the 2-norm, cut to a box: sound, exact where all is affine, tighter than what they lie in."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import make_case, numpy_params, preactivations
from glscert.verifier.bounds.affine_images import with_affine_images
from glscert.verifier.bounds.ball import cut_ball
from glscert.verifier.bounds.beta_crown import dual_bound, start_dual
from glscert.verifier.bounds.ibp import ibp
from glscert.verifier.bounds.specification import Bounds
from glscert.verifier.bounds.substitution import anchor, relax, spec_bound
from glscert.verifier.ops import Box, compiled, evaluate
from glscert.verifier.ops.forms import Form
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS, arbitrary_convs
from reference import forward

BALLS = (Norm.L2, Norm.L1)
POWER = {Norm.L1: 1, Norm.L2: 2}


def ball_of(case, norm, seed=0, *, cut=0.5, radius=0.8):
    """A ball in the case's box's place, radii differing by entry and some 0, and its box, which cuts some entries."""
    rng = np.random.default_rng([seed, 5])
    centre = (case.box.lower + case.box.upper) / 2
    radii = rng.uniform(0.2, radius, centre.shape) * (rng.random(centre.shape) > 0.1)
    down, up = (np.where(rng.random(centre.shape) < cut, rng.uniform(0, 1, centre.shape), 1) for _ in range(2))
    radii, down, up = (torch.from_numpy(part) for part in (radii, down, up))
    box = Box(centre - radii * down, centre + radii * up)
    return box, cut_ball(norm, centre, radii, box)


def sampled(ball, box, count=60):
    """Points [S, B, *v] of the ball within the box: on few entries or on many, on the ball's edge or within."""
    shape = (count, *ball.centre.shape)
    steps = torch.randn(shape, dtype=torch.float64) * (torch.rand(shape) < torch.rand(count, *[1] * (len(shape) - 1)))
    flat = steps.flatten(2)
    flat = flat / flat.norm(POWER[ball.norm], 2, keepdim=True).clamp(min=1e-12)
    flat[::2] *= torch.rand(flat[::2].shape[:2], dtype=torch.float64).unsqueeze(2)
    points = ball.centre + ball.radius * flat.reshape(shape)
    return torch.minimum(torch.maximum(points, box.lower), box.upper)  # which leads towards the centre


def adversarial(case, ball, steps=3):
    """Where the gradient of each row leads, from the centre and again from there: [steps * M, B, *v]."""
    points = []
    for row in range(case.spec.rows.shape[1]):
        x = ball.centre
        for _ in range(steps):
            x = x.detach().requires_grad_()
            y = evaluate(case.graph, case.params, x)
            (slope,) = torch.autograd.grad((case.spec.rows[:, row] * y).sum(), x)
            x = ball.lowest(slope)
            points.append(x.detach())
    return torch.stack(points)


def inside(points, ball, box):
    """Up to rounding."""
    moves = points - ball.centre
    shares = torch.where(ball.radius > 0, moves / ball.radius, 0).abs().flatten(2)
    assert (moves[:, ball.radius == 0] == 0).all()
    assert (shares.norm(POWER[ball.norm], 2) <= 1 + 1e-12).all()
    return bool((points >= box.lower - 1e-12).all() and (points <= box.upper + 1e-12).all())


def bounds_of(case, box, ball):
    """What the verifier computes: IBP's, DeepPoly's, and a dual bound of any slopes and none of the splits."""
    base = with_affine_images(case.graph, case.params, anchor(case.graph, case.params, box, ball))
    yield ibp(case.graph, case.params, box, case.spec, boxes=base.boxes)
    pre = preactivations(case, base)
    yield Bounds(spec_bound(case.graph, case.params, base, case.spec, relax(case.graph, pre)), pre)
    dual = start_dual(case.graph, pre, case.spec.rows.shape[1])
    slopes = {name: torch.rand_like(slope) for name, slope in dual.slopes.items()}
    yield Bounds(dual_bound(case.graph, case.params, base, case.spec, pre, dual._replace(slopes=slopes)), pre)


def assert_sound(case, norm, seed):
    box, ball = ball_of(case, norm, seed)
    points = torch.cat([sampled(ball, box), adversarial(case, ball), ball.centre[None]])
    assert inside(points, ball, box)
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    y = values[case.graph.output].reshape(*points.shape[:2], -1)
    rows = np.einsum("bmk,sbk->sbm", case.spec.rows.numpy(), y) + case.spec.offset.numpy()
    for bounds in bounds_of(case, box, ball):
        assert (rows - bounds.lower.numpy()).min() >= -1e-9 * max(1.0, np.abs(rows).max())
        for name, known in bounds.pre.items():
            seen = values[name].reshape(len(points), *known.lower.shape)
            slack = 1e-9 * max(1.0, np.abs(seen).max())
            assert (seen >= known.lower.numpy() - slack).all() and (seen <= known.upper.numpy() + slack).all(), name


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("seed", (10, 11))
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_no_point_beats_a_bound(name, seed, norm):
    assert_sound(make_case(name, seed), norm, seed)


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 10**6))
def test_no_point_beats_a_bound_of_arbitrary_convolutions(norm, seed):
    assert_sound(make_case("arbitrary", seed, make=arbitrary_convs), norm, seed)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_set_within_another_has_no_worse_bounds(name):
    """The 1-norm's ball within the 2-norm's within the box; over the same lines, and for every affine image."""
    case = make_case(name, 12)
    box, large = ball_of(case, Norm.L2)
    small = cut_ball(Norm.L1, large.centre, large.radius, box)
    bases = [anchor(case.graph, case.params, box, ball) for ball in (None, large, small)]
    pre = preactivations(case, bases[0])
    found = [spec_bound(case.graph, case.params, base, case.spec, relax(case.graph, pre)) for base in bases]
    for looser, tighter in zip(found, found[1:], strict=False):
        assert (tighter >= looser - 1e-12 * looser.abs().clamp(min=1)).all()
    images = [bases[0].boxes, *(with_affine_images(case.graph, case.params, base).boxes for base in bases[1:])]
    for looser, tighter in zip(images, images[1:], strict=False):
        for value, known in looser.items():
            slack = 1e-12 * known.upper.abs().clamp(min=1)
            assert (tighter[value].lower >= known.lower - slack).all()
            assert (tighter[value].upper <= known.upper + slack).all()


@pytest.mark.parametrize("norm", BALLS)
def test_the_dual_norm_on_an_affine_network(norm):
    """A · centre + b - |A · radius|_q, q = 2 for p = 2 and infinite for p = 1, where the box cuts nothing away."""
    case = make_case("affine_only", 13)
    box, ball = ball_of(case, norm, cut=0.0)
    base = anchor(case.graph, case.params, box, ball)
    bound = spec_bound(case.graph, case.params, base, case.spec, {})
    x = ball.centre.requires_grad_()
    rows = (case.spec.rows * evaluate(case.graph, case.params, x).unsqueeze(1)).sum(2) + case.spec.offset
    for row in range(rows.shape[1]):
        (slope,) = torch.autograd.grad(rows[:, row].sum(), x, retain_graph=True)
        dual = (slope * ball.radius).flatten(1).norm(2 if norm is Norm.L2 else torch.inf, 1)
        assert torch.allclose(bound[:, row], rows[:, row] - dual, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 10**6), cut=st.sampled_from((0.0, 0.3, 0.9)))
def test_a_point_of_the_set_attains_the_bound_of_a_form(norm, seed, cut):
    """So the bound is the minimum over the ball cut to the box; for p = 2 up to the steps that were taken."""
    case = make_case("gemm_only", seed)
    box, ball = ball_of(case, norm, seed, cut=cut)
    slope = torch.randn_like(ball.centre) ** 3
    point = ball.lowest(slope)
    assert inside(point[None], ball, box)
    reached = (slope * (point - ball.centre)).sum(1, keepdim=True)
    assert torch.allclose(ball.least(Form(slope[:, None, None])), reached, rtol=1e-2 if norm is Norm.L2 else 1e-9)
    assert (ball.least(Form(slope[:, None, None])) <= reached + 1e-12).all()


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", ("conv_chain", "groups_and_dilation", "residual"))
def test_parts_and_single_inputs_give_the_same(name, norm, monkeypatch):
    """The rows are taken a part at a time where they are many."""
    case = make_case(name, 14, batch=3)
    box, ball = ball_of(case, norm)
    together = list(bounds_of(case, box, ball))[1]
    monkeypatch.setattr("glscert.verifier.bounds.ball._ROOM", 1 << 10)
    parts = list(bounds_of(case, box, ball))[1]
    assert torch.allclose(parts.lower, together.lower, rtol=0, atol=1e-12)
    for row in range(3):
        alone = case._replace(spec=type(case.spec)(*(part[[row]] for part in case.spec)))
        own = list(bounds_of(alone, Box(*(end[[row]] for end in box)), ball.each(lambda part, row=row: part[[row]])))[1]
        assert torch.allclose(own.lower, together.lower[[row]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", ("conv_chain", "deep_convs"))
def test_passes_that_know_boxes_alone_are_not_taken(name, norm):
    """Compiled or in torch: what they would make of a ball is a box."""
    case = make_case(name, 17)
    box, ball = ball_of(case, norm)
    plain = list(bounds_of(case, box, ball))
    if not compiled.enable():
        pytest.skip("no C compiler on this machine")
    try:
        again = list(bounds_of(case, box, ball))
    finally:
        compiled.enable(False)
    for a, b in zip(plain[:2], again[:2], strict=True):
        assert torch.equal(a.lower, b.lower)


@pytest.mark.parametrize("norm", BALLS)
def test_the_gradient_of_the_least_value(norm):
    case = make_case("gemm_only", 15)
    _, ball = ball_of(case, norm, cut=0.3)
    coef = torch.randn(2, 1, 4, *ball.centre.shape[1:], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda coef: ball.least(Form(coef)), (coef,), rtol=1e-5)
    shared = coef[:1].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda coef: ball.least(Form(coef)), (shared,), rtol=1e-5)


@pytest.mark.parametrize("norm", BALLS)
def test_a_ball_of_radius_0_is_its_centre(norm):
    case = make_case("conv_chain", 16)
    centre = (case.box.lower + case.box.upper) / 2
    box, ball = Box(centre, centre), cut_ball(norm, centre, torch.zeros_like(centre), Box(centre, centre))
    y = evaluate(case.graph, case.params, centre)
    exact = (case.spec.rows * y.unsqueeze(1)).sum(2) + case.spec.offset
    for bounds in bounds_of(case, box, ball):
        assert torch.allclose(bounds.lower, exact, rtol=0, atol=1e-9)
