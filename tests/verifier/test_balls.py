"""Verdicts over balls of the 1-norm and the 2-norm: true where the truth is known, counterexamples exactly inside."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import make_case
from glscert.verifier.bounds import Box
from glscert.verifier.bounds.ball import cut_ball
from glscert.verifier.bounds.errors import analysed
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.ops import evaluate
from glscert.verifier.outcome import Verdict
from glscert.verifier.region import Norm
from glscert.verifier.robustness import Settings, Verifier
from glscert.verifier.search.boxes import attack_box, drawn_in, fed, in_ball, proof_ball, proof_box
from onnx_models import make, node

BALLS = (Norm.L2, Norm.L1)
POWER = {Norm.L1: 1, Norm.L2: 2}
MIDDLE = np.full((1, 2), 0.5, np.float32)
ORDER = (Norm.LINF, Norm.L2, Norm.L1)  # each one's ball holds the next


def exactly_inside(point, x, eps, norm):
    """By rational numbers; an entry without a radius may not move."""
    eps = np.broadcast_to(eps, x.shape).ravel().tolist()
    shares = []
    for a, b, radius in zip(point.ravel().tolist(), x.ravel().tolist(), eps, strict=True):
        move = abs(Fraction(a) - Fraction(b))
        if move and not radius:
            return False
        shares.append(move / Fraction(str(radius)) if move else Fraction(0))
    return sum(share ** POWER[norm] for share in shares) <= 1


def assert_counterexample(verifier, x, outcome, eps, norm, low=0.0, high=1.0):
    point = outcome.counterexample
    assert point.dtype == np.float32 and point.shape == x.shape
    assert exactly_inside(point, x, eps, norm)
    assert (point >= low).all() and (point <= high).all()
    scores = verifier.network.runtime.logits(point[None])[0]
    assert scores[outcome.label] <= np.delete(scores, outcome.label).max()


def one(verifier, eps, norm, x=MIDDLE, **settings):
    (outcome,) = verifier.verify(x, np.zeros(1, np.int64), Settings(eps, norm=norm, **settings))
    return outcome


@pytest.mark.parametrize(
    ("norm", "eps", "verdict"),
    (  # class 0 wins where |x0 - x1| < 1/4, which in the balls reaches 2 eps, √2 eps and eps
        (Norm.LINF, 0.1249, Verdict.VERIFIED),
        (Norm.LINF, 0.1251, Verdict.FALSIFIED),
        (Norm.L2, 0.1767, Verdict.VERIFIED),
        (Norm.L2, 0.1768, Verdict.FALSIFIED),
        (Norm.L1, 0.2499, Verdict.VERIFIED),
        (Norm.L1, 0.2501, Verdict.FALSIFIED),
        # with a radius for each entry: of their sum, of the root of their squares' sum, of the larger one
        (Norm.L2, np.array([0.2, 0.1499]), Verdict.VERIFIED),
        (Norm.L2, np.array([0.2, 0.1501]), Verdict.FALSIFIED),
        (Norm.L1, np.array([0.2, 0.2499]), Verdict.VERIFIED),
        (Norm.L1, np.array([0.2, 0.2501]), Verdict.FALSIFIED),
        # frozen
        (Norm.L2, np.array([0.2499, 0.0]), Verdict.VERIFIED),
        (Norm.L2, np.array([0.0, 0.2501]), Verdict.FALSIFIED),
        (Norm.L1, np.array([0.0, 0.2501]), Verdict.FALSIFIED),
        (Norm.L1, np.array([0.0, 0.0]), Verdict.VERIFIED),
    ),
)
def test_what_is_known_by_hand(gap, norm, eps, verdict):
    verifier = gap()
    outcome = one(verifier, eps, norm)
    assert outcome.verdict is verdict
    if verdict is Verdict.FALSIFIED and norm is not Norm.LINF:
        assert_counterexample(verifier, MIDDLE[0], outcome, eps, norm)


@pytest.mark.parametrize("norm", BALLS)
def test_the_range_cuts_the_ball(gap, norm):
    """From (0, 0) entries may only rise: |x0 - x1| reaches eps, and without the range more."""
    corner = np.zeros((1, 2), np.float32)
    assert one(gap(), 0.2499, norm, corner).verdict is Verdict.VERIFIED
    assert one(gap(), 0.2501, norm, corner).verdict is Verdict.FALSIFIED
    free = one(gap(), 0.2499, norm, corner, low=-1.0).verdict
    assert free is (Verdict.FALSIFIED if norm is Norm.L2 else Verdict.VERIFIED)


def corner_only(tmp_path):
    """Class 1 wins where x0 + x1 > 1.2 only: relu(x0 + x1 - 1.19) · 50 there exceeds 1/2."""
    consts = {"w1": np.ones((2, 1), np.float32), "b1": np.array([-1.19], np.float32)}
    consts |= {"w2": np.array([[0, 50]], np.float32), "b2": np.array([0.5, 0], np.float32)}
    nodes = [node("MatMul", "x w1", "a"), node("Add", "a b1", "h"), node("Relu", "h", "r")]
    nodes += [node("MatMul", "r w2", "m"), node("Add", "m b2", "y")]
    path = tmp_path / "corner.onnx"
    path.write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    return Verifier(path)


@pytest.mark.parametrize(("norm", "reach"), ((Norm.L2, 0.2 / np.sqrt(2)), (Norm.L1, 0.2)))
def test_planted_in_the_ball_or_only_in_the_box_around_it(tmp_path, norm, reach):
    """From (1/2, 1/2) the box of radius 0.11 holds the corner, the ball only from `reach` on."""
    verifier = corner_only(tmp_path)
    assert one(verifier, 0.11, Norm.LINF).verdict is Verdict.FALSIFIED
    assert one(verifier, 0.11, norm).verdict is Verdict.VERIFIED
    assert one(verifier, reach - 1e-3, norm).verdict is Verdict.VERIFIED
    eps = round(reach + 1e-3, 6)
    outcome = one(verifier, eps, norm)
    assert outcome.verdict is Verdict.FALSIFIED
    assert_counterexample(verifier, MIDDLE[0], outcome, eps, norm)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A random network, 80 inputs with its own answers as labels, radii by entry, and outcomes in every norm."""
    rng, sizes = np.random.default_rng(3), (6, 24, 24, 3)
    nodes, consts, value = [], {}, "x"
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        consts[f"w{i}"] = (rng.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)
        consts[f"b{i}"] = (0.1 * rng.normal(size=m)).astype(np.float32)
        nodes.append(node("Gemm", f"{value} w{i} b{i}", f"h{i}" if i < 2 else "y"))
        if i < 2:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
            value = f"r{i}"
    path = tmp_path_factory.mktemp("many") / "m.onnx"
    path.write_bytes(make(nodes, ("batch", 6), consts).SerializeToString())
    verifier = Verifier(path)
    x = np.random.default_rng(4).uniform(0, 1, (80, 6)).astype(np.float32)
    y = verifier.network.runtime.logits(x).argmax(1)
    radii = [0.05, 0.15, np.array([0.3, 0.0, 0.1, 0.2, 0.05, 0.15])]
    found = [{norm: verifier.verify(x, y, Settings(eps, norm=norm, timeout=20.0)) for norm in ORDER} for eps in radii]
    return verifier, x, y, list(zip(radii, found, strict=True))


def test_every_stage_decides_something(many):
    reasons = {o.reason.split(",")[0] for _, found in many[3] for norm in BALLS for o in found[norm]}
    assert reasons >= {"IBP", "DeepPoly", "alpha-CROWN", "branch and bound", "attack"}


def test_every_counterexample_is_one(many):
    verifier, x, _, runs = many
    for norm in BALLS:
        falsified = [(eps, o) for eps, found in runs for o in found[norm] if o.verdict is Verdict.FALSIFIED]
        assert falsified
        for eps, outcome in falsified:
            assert_counterexample(verifier, x[outcome.index], outcome, eps, norm)


def test_no_sample_contradicts_a_proof(many):
    verifier, x, y, runs = many
    rng = np.random.default_rng(5)
    for eps, found in runs:
        for norm in BALLS:
            for o in found[norm]:
                if o.verdict is Verdict.VERIFIED:
                    moves = rng.normal(size=(400, 6)) * (rng.random((400, 6)) < rng.random((400, 1)))
                    moves /= np.maximum(np.linalg.norm(moves, POWER[norm], axis=1, keepdims=True), 1e-9)
                    points = np.clip(x[o.index] + eps * moves, 0, 1).astype(np.float32)
                    answers = verifier.network.runtime.logits(points)
                    rest = np.delete(answers, y[o.index], axis=1).max(1)
                    assert (answers[:, y[o.index]] - rest).min() >= o.margin - 1e-5


def test_a_ball_within_another_is_no_harder(many):
    certified = []
    for _, found in many[3]:
        for large, small in zip(ORDER, ORDER[1:], strict=False):
            for a, b in zip(found[large], found[small], strict=True):
                assert not (a.verdict is Verdict.VERIFIED and b.verdict is Verdict.FALSIFIED)
                assert Verdict.UNKNOWN not in (a.verdict, b.verdict)
        certified.append([sum(o.verdict is Verdict.VERIFIED for o in found[norm]) for norm in ORDER])
    assert all(counts == sorted(counts) for counts in certified)
    assert any(len(set(counts)) == 3 for counts in certified)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@given(seed=st.integers(0, 10**6), size=st.sampled_from((1e-9, 1e-6, 0.1)))
def test_a_ball_around_given_numbers_holds_what_a_runtime_is_fed(norm, dtype, seed, size):
    """Entries that float32 does not hold, some frozen: a proof covers the ball, and with it the nearest numbers."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (1, 12))
    eps = size * rng.uniform(0.1, 1, 12) * (rng.random(12) > 0.3)
    attacked = attack_box(x, eps, 0.0, 1.0, np.dtype(dtype))
    box = proof_box(x, eps, 0.0, 1.0, np.dtype(dtype))
    ball = proof_ball(x, eps, norm, box, attacked)
    moves = rng.normal(size=12) * (eps > 0)
    moves /= max(np.linalg.norm(moves, POWER[norm]), 1e-9)
    own = [fed(x, attacked)[0], np.clip(x[0] + eps * moves * (1 - 1e-4), 0, 1)]  # x + … rounds
    one = Box(*(end[0] for end in attacked))
    drawn = drawn_in(x[0] + 2 * eps * moves, x[0], eps, norm, one)
    for point in (*own, *([] if drawn is None else [drawn])):
        inside = torch.from_numpy(point.astype(np.float64))[None]
        assert ((box.lower <= inside) & (inside <= box.upper)).all()
        shares = torch.where(ball.radius > 0, (inside - ball.centre).abs() / ball.radius, 0.0)
        assert (shares ** POWER[norm]).sum() <= 1 + 1e-12
        assert (shares <= torch.where(inside < ball.centre, ball.down, ball.up) + 1e-12).all()
    assert drawn is None or drawn.dtype == dtype
    if drawn is not None and dtype is np.float64:
        assert exactly_inside(drawn, x[0], eps, norm)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize(("eps", "verdict"), ((0.2499, Verdict.VERIFIED), (0.2501, Verdict.FALSIFIED)))
def test_frozen_decimals_take_nothing_of_a_ball(gap, norm, eps, verdict):
    """Entry 1 stays at 0.1, which no float32 is: |x0 - x1| reaches eps."""
    outcome = one(gap(), np.array([eps, 0.0]), norm, np.array([[0.1, 0.1]]), low=-1.0)
    assert outcome.verdict is verdict
    if verdict is Verdict.FALSIFIED:
        assert outcome.counterexample.dtype == np.float32 and outcome.counterexample[1] == np.float32(0.1)


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 10**6), size=st.sampled_from((1e-6, 1e-3, 0.1, 3.0)))
def test_points_drawn_in_lie_inside_exactly(norm, seed, size):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, 20).astype(np.float32)
    eps = size * rng.uniform(0.1, 1, 20) * (rng.random(20) > 0.1)
    whole = attack_box(x[None], eps, 0.0, 1.0)
    box = Box(*(end[0] for end in whole))
    point = drawn_in(x + 2 * eps * rng.uniform(-1, 1, 20), x, eps, norm, box)
    if point is None:
        assert size == 1e-6  # no room for float32 numbers
        return
    assert exactly_inside(point, x, eps, norm)
    assert (torch.from_numpy(point) >= box.lower).all() and (torch.from_numpy(point) <= box.upper).all()
    assert exactly_inside(point, x, np.nextafter(eps, 0), norm)


@pytest.mark.parametrize("norm", BALLS)
@given(seed=st.integers(0, 10**6))
def test_what_is_called_inside_is(norm, seed):
    """Points on the very edge, of which rounding decides."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, 5).astype(np.float32)
    move = rng.normal(size=5)
    point = (x + 0.1 * move / np.linalg.norm(move, POWER[norm])).astype(np.float32)
    if in_ball(point, x, 0.1, norm):
        assert exactly_inside(point, x, 0.1, norm)
    assert in_ball((x + 0.999 * (point - x)).astype(np.float32), x, 0.1, norm)
    assert not in_ball((x + 1.001 * (point - x)).astype(np.float32), x, 0.1, norm)


@pytest.mark.parametrize("norm", BALLS)
def test_the_margin_for_rounding_grows_with_a_radius_beyond_the_range(norm):
    """What a dual norm sums is |A| · radius, whatever the box leaves of it."""
    case = make_case("affine_only", 5)
    radius = torch.full_like(case.box.lower, 1e4)
    ball = cut_ball(norm, (case.box.lower + case.box.upper) / 2, radius, case.box)
    x = torch.zeros_like(case.box.lower).requires_grad_()
    (slope,) = torch.autograd.grad(evaluate(case.graph, case.params, x)[:, 0].sum(), x)
    summed = (slope.abs() * radius).flatten(1).sum(1)
    base = anchor(case.graph, case.params, case.box, ball)
    margins = analysed(case.graph, case.params, base, {}).whole[case.graph.output][:, 0]
    assert (margins >= 2**-52 * summed).all()
