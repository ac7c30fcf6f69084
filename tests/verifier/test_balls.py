"""Verdicts over balls of the 1-norm and the 2-norm: true where the truth is known, counterexamples exactly inside."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_cases import engine_case
from glscert.verifier import Verdict, load, robustness
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.ball import cut_ball
from glscert.verifier.engine.errors import analysed
from glscert.verifier.engine.gradient import outputs_and_gradient
from glscert.verifier.functions import Box
from glscert.verifier.region import Norm
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


def assert_counterexample(network, x, answer, eps, norm, label=0):
    point = answer.witness.x
    assert point.dtype == np.float32 and point.shape == x.shape
    assert exactly_inside(point, x, eps, norm)
    assert (point >= 0).all() and (point <= 1).all()
    scores = network.runtime.logits(point[None])[0]
    assert scores[label] <= np.delete(scores, label).max()


def one(network, eps, norm, x=MIDDLE, **settings):
    (answer,) = robustness(network, x, np.zeros(1, np.int64), eps, norm=norm, **settings)
    return answer


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
    network = gap()
    answer = one(network, eps, norm)
    assert answer.verdict is verdict
    if verdict is Verdict.FALSIFIED and norm is not Norm.LINF:
        assert_counterexample(network, MIDDLE[0], answer, eps, norm)


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
    return load(path)


@pytest.mark.parametrize(("norm", "reach"), ((Norm.L2, 0.2 / np.sqrt(2)), (Norm.L1, 0.2)))
def test_planted_in_the_ball_or_only_in_the_box_around_it(tmp_path, norm, reach):
    """From (1/2, 1/2) the box of radius 0.11 holds the corner, the ball only from `reach` on."""
    network = corner_only(tmp_path)
    assert one(network, 0.11, Norm.LINF).verdict is Verdict.FALSIFIED
    assert one(network, 0.11, norm).verdict is Verdict.VERIFIED
    assert one(network, reach - 1e-3, norm).verdict is Verdict.VERIFIED
    eps = round(reach + 1e-3, 6)
    answer = one(network, eps, norm)
    assert answer.verdict is Verdict.FALSIFIED
    assert_counterexample(network, MIDDLE[0], answer, eps, norm)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A random network, 80 inputs with its own answers as labels, radii by entry, and answers in every norm."""
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
    network = load(path)
    x = np.random.default_rng(4).uniform(0, 1, (80, 6)).astype(np.float32)
    y = network.runtime.logits(x).argmax(1)
    radii = [0.05, 0.15, np.array([0.3, 0.0, 0.1, 0.2, 0.05, 0.15])]
    found = [{norm: robustness(network, x, y, eps, norm=norm, timeout=20.0) for norm in ORDER} for eps in radii]
    return network, x, y, list(zip(radii, found, strict=True))


def test_every_stage_decides_something(many):
    reasons = {o.reason.split(",")[0] for _, found in many[3] for norm in BALLS for o in found[norm]}
    assert reasons >= {"IBP", "DeepPoly", "alpha-CROWN", "branch and bound", "attack"}


def test_every_counterexample_is_one(many):
    network, x, y, runs = many
    for norm in BALLS:
        told = [(eps, *each) for eps, found in runs for each in zip(x, y, found[norm], strict=True)]
        falsified = [each for each in told if each[-1].verdict is Verdict.FALSIFIED]
        assert falsified
        for eps, own, label, answer in falsified:
            assert_counterexample(network, own, answer, eps, norm, label)


def test_no_sample_contradicts_a_proof(many):
    network, x, y, runs = many
    rng = np.random.default_rng(5)
    for eps, found in runs:
        for norm in BALLS:
            for own, label, answer in zip(x, y, found[norm], strict=True):
                if answer.verdict is Verdict.VERIFIED:
                    moves = rng.normal(size=(400, 6)) * (rng.random((400, 6)) < rng.random((400, 1)))
                    moves /= np.maximum(np.linalg.norm(moves, POWER[norm], axis=1, keepdims=True), 1e-9)
                    scores = network.runtime.logits(np.clip(own + eps * moves, 0, 1).astype(np.float32))
                    rest = np.delete(scores, label, axis=1).max(1)
                    assert (scores[:, label] - rest).min() >= answer.margin - 1e-5


def test_a_ball_within_another_is_no_harder(many):
    certified = []
    for _, found in many[3]:
        for large, small in zip(ORDER, ORDER[1:], strict=False):
            for a, b in zip(found[large], found[small], strict=True):
                assert not (a.verdict is Verdict.VERIFIED and b.verdict is Verdict.FALSIFIED)
                assert not {Verdict.UNKNOWN, Verdict.TIMEOUT} & {a.verdict, b.verdict}
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
        inside = point.astype(np.float64)[None]
        assert ((box.lower <= inside) & (inside <= box.upper)).all()
        moved = np.abs(inside - ball.centre)
        shares = np.divide(moved, ball.radius, out=np.zeros_like(moved), where=ball.radius > 0)
        assert (shares ** POWER[norm]).sum() <= 1 + 1e-12
        assert (shares <= np.where(inside < ball.centre, ball.down, ball.up) + 1e-12).all()
    assert drawn is None or drawn.dtype == dtype
    if drawn is not None and dtype is np.float64:
        assert exactly_inside(drawn, x[0], eps, norm)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize(("eps", "verdict"), ((0.2499, Verdict.VERIFIED), (0.2501, Verdict.FALSIFIED)))
def test_frozen_decimals_take_nothing_of_a_ball(gap, norm, eps, verdict):
    """Entry 1 stays at 0.1, which no float32 is: |x0 - x1| reaches eps."""
    answer = one(gap(), np.array([eps, 0.0]), norm, np.array([[0.1, 0.1]]), low=-1.0)
    assert answer.verdict is verdict
    if verdict is Verdict.FALSIFIED:
        assert answer.witness.x.dtype == np.float32 and answer.witness.x[1] == np.float32(0.1)


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
    assert (point >= box.lower).all() and (point <= box.upper).all()
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
    case = engine_case("affine_only", 5)
    engine, centre = case.engine, (case.box.lower + case.box.upper) / 2
    radius = np.full_like(centre, 1e4)
    base = Anchor(case.box, cut_ball(norm, centre, radius, case.box))
    outputs, pull = outputs_and_gradient(engine, centre)
    slope = pull(np.eye(engine.outputs)[np.zeros(len(outputs), np.int64)])
    margins = analysed(engine, base, {}).whole[engine.output][:, 0]
    assert (margins >= 2**-52 * (np.abs(slope) * radius).sum(1)).all()
