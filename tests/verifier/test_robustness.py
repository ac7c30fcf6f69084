"""Verdicts on networks whose truth is known by hand, and on real ones; what `falsified` and `verified` promise."""

import gzip
from fractions import Fraction

import numpy as np
import onnxruntime
import pytest

from glscert.verifier.data import load_dataset
from glscert.verifier.errors import InputError
from glscert.verifier.outcome import Verdict
from glscert.verifier.region import Norm
from glscert.verifier.robustness import Settings, Verifier
from onnx_models import make, mlp, node

MIDDLE = np.full((1, 2), 0.5, np.float32)
ZERO = np.zeros(1, np.int64)


def save(proto, path):
    path.write_bytes(proto.SerializeToString())
    return path


def one(verifier, eps, x=MIDDLE, label=0, **settings):
    (outcome,) = verifier.verify(x, np.full(1, label), Settings(eps, **settings))
    return outcome


def scores(verifier, point):
    """What onnxruntime answers for one point, on the file itself."""
    session = onnxruntime.InferenceSession(verifier.path.read_bytes(), providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    shape = [n if isinstance(n, int) else 1 for n in declared.shape]
    return session.run(None, {declared.name: point.reshape(shape)})[0].ravel()


def assert_counterexample(verifier, x, outcome, eps, low=0, high=1):
    """Inside the ball and the range as exact numbers, and not the label's in onnxruntime."""
    point = outcome.counterexample
    assert point.dtype == np.float32 and point.shape == x.shape
    for a, b in zip(point.ravel().tolist(), x.ravel().tolist(), strict=True):
        assert abs(Fraction(a) - Fraction(b)) <= Fraction(str(eps))
        assert low <= a <= high
    answer = scores(verifier, point)
    assert answer[outcome.label] <= np.delete(answer, outcome.label).max()
    assert outcome.margin <= 0


@pytest.mark.parametrize("dims", (("batch", 2), (1, 2), (2,)), ids=("dynamic", "batch-1", "rank-1"))
class TestWhatIsKnownByHand:
    """Class 0 wins on the ball of radius eps around (1/2, 1/2) exactly where 2 eps < 1/4."""

    @pytest.mark.parametrize(("eps", "stage"), ((0.0, "IBP"), (0.06, "IBP"), (0.1, "DeepPoly"), (0.12, "DeepPoly")))
    def test_proved_by_the_least_stage_that_can(self, gap, dims, eps, stage):
        outcome = one(gap(dims=dims), eps)
        assert outcome.verdict is Verdict.VERIFIED
        assert outcome.margin <= 0.25 - 2 * eps + 1e-6
        assert outcome.reason == stage

    def test_refuted(self, gap, dims):
        verifier = gap(dims=dims)
        outcome = one(verifier, 0.13)
        assert outcome.verdict is Verdict.FALSIFIED
        assert outcome.reason == "attack"
        assert_counterexample(verifier, MIDDLE[0], outcome, 0.13)

    def test_misclassified(self, gap, dims):
        outcome = one(gap(dims=dims), 0.01, label=1)
        assert (outcome.verdict, outcome.reason) == (Verdict.MISCLASSIFIED, "the network answers 0")
        assert outcome.margin == -0.25


def test_a_tie_is_not_won(gap):
    tied = np.array([[0.75, 0.5]], np.float32)
    assert one(gap(0.25), 0.0, tied, 0).reason == "another class scores as high as the label"
    assert one(gap(0.25), 0.0, tied, 1).verdict is Verdict.MISCLASSIFIED


def test_eps_0_proves_what_is_classified_with_any_margin(gap):
    outcome = one(gap(2**-20), 0.0)
    assert outcome.verdict is Verdict.VERIFIED
    assert 0 < outcome.margin <= 2**-20


def test_the_range_cuts_the_ball(gap):
    corner = np.zeros((1, 2), np.float32)
    assert one(gap(0.25), 0.2, corner).verdict is Verdict.VERIFIED  # without the range |x0 - x1| would reach 0.4
    free = one(gap(0.25), 0.2, corner, low=-1.0)
    assert free.verdict is Verdict.FALSIFIED


def test_a_margin_of_rounding_size_is_not_proved(tmp_path):
    """Class 0 leads by 2e-16 of scores of size 1, in float64: too little to trust a computed bound."""
    consts = {"w": np.zeros((2, 2)), "b": np.array([1 + 2.0**-52, 1.0])}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "y")]
    verifier = Verifier(save(make(nodes, ("batch", 2), consts, dtype=np.float64), tmp_path / "m.onnx"))
    outcome = one(verifier, 0.1)
    assert outcome.verdict is Verdict.UNKNOWN


def test_cancelling_weights_ask_for_a_larger_margin(tmp_path):
    """h - h cancels to a lead of 1e-8, but through terms of size 1e8 whose rounding a bound cannot see."""
    consts = {"w1": np.array([[1e8, 1e8]]), "w2": np.array([[1.0, 0], [-1.0, 0]]), "b": np.array([1e-8, 0])}
    nodes = [node("MatMul", "x w1", "h"), node("MatMul", "h w2", "m"), node("Add", "m b", "y")]
    verifier = Verifier(save(make(nodes, ("batch", 1), consts, dtype=np.float64), tmp_path / "m.onnx"))
    (outcome,) = verifier.verify(np.full((1, 1), 0.5, np.float32), ZERO, Settings(0.0))
    assert outcome.verdict is Verdict.UNKNOWN


def test_scores_that_are_no_numbers_are_never_right(tmp_path):
    """In float32 x · 1e30 · 1e30 overflows and inf - inf is NaN, though the weights are finite."""
    consts = {"big": np.full((2, 2), 1e30, np.float32), "eye": np.array([[1, -1], [-1, 1]], np.float32)}
    nodes = [node("MatMul", "x big", "a"), node("MatMul", "a big", "b"), node("MatMul", "b eye", "y")]
    verifier = Verifier(save(make(nodes, ("batch", 2), consts), tmp_path / "m.onnx"))
    for label in (0, 1):
        outcome = one(verifier, 0.1, label=label)
        assert outcome.verdict is Verdict.MISCLASSIFIED
        assert outcome.reason == "onnxruntime returns NaN among the scores"
        assert outcome.margin is None


def test_nan_bounds_prove_nothing(tmp_path):
    """Finite scores at the point, bounds that overflow even in float64."""
    consts = {"big": np.full((2, 2), 1e300), "eye": np.array([[1.0, 0.0], [0.0, 0.0]]), "b": np.array([1.0, 0.0])}
    nodes = [node("MatMul", "x big", "a"), node("Relu", "a", "r"), node("MatMul", "r big", "c"), node("Relu", "c", "s")]
    nodes += [node("MatMul", "s eye", "d"), node("Add", "d b", "y")]
    verifier = Verifier(save(make(nodes, ("batch", 2), consts, dtype=np.float64), tmp_path / "m.onnx"))
    outcome = one(verifier, 0.1, np.zeros((1, 2), np.float32), timeout=2.0)
    assert outcome.verdict in (Verdict.UNKNOWN, Verdict.FALSIFIED)


def test_a_planted_counterexample_is_found(tmp_path):
    """Class 1 wins in one corner of the ball only: relu(x0 + x1 - 1.19) * 100 there reaches 1."""
    consts = {"w1": np.ones((2, 1), np.float32), "b1": np.array([-1.19], np.float32)}
    consts |= {"w2": np.array([[0, 100]], np.float32), "b2": np.array([0.5, 0], np.float32)}
    nodes = [node("MatMul", "x w1", "a"), node("Add", "a b1", "h"), node("Relu", "h", "r")]
    nodes += [node("MatMul", "r w2", "m"), node("Add", "m b2", "y")]
    verifier = Verifier(save(make(nodes, ("batch", 2), consts), tmp_path / "m.onnx"))
    outcome = one(verifier, 0.1)
    assert outcome.verdict is Verdict.FALSIFIED
    assert_counterexample(verifier, MIDDLE[0], outcome, 0.1)
    assert one(verifier, 0.09).verdict is Verdict.VERIFIED


def random_mlp(tmp_path, seed, sizes=(6, 24, 24, 3), name="m.onnx"):
    rng, nodes, consts, value = np.random.default_rng(seed), [], {}, "x"
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        last = i == len(sizes) - 2
        consts[f"w{i}"] = (rng.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)
        consts[f"b{i}"] = (0.1 * rng.normal(size=m)).astype(np.float32)
        nodes.append(node("Gemm", f"{value} w{i} b{i}", "y" if last else f"h{i}"))
        if not last:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
            value = f"r{i}"
    return Verifier(save(make(nodes, ("batch", sizes[0]), consts), tmp_path / name))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A random network, 200 inputs with its own answers as labels, and their outcomes at three radii."""
    verifier = random_mlp(tmp_path_factory.mktemp("many"), 3)
    x = np.random.default_rng(4).uniform(0, 1, (200, 6)).astype(np.float32)
    y = verifier.network.runtime.logits(x).argmax(1)
    return verifier, x, y, {eps: verifier.verify(x, y, Settings(eps, timeout=20.0)) for eps in (0.01, 0.05, 0.1)}


def test_every_stage_decides_something(many):
    _, _, _, found = many
    reasons = {o.reason.split(",")[0] for outcomes in found.values() for o in outcomes}
    assert reasons >= {"IBP", "DeepPoly", "alpha-CROWN", "branch and bound", "attack"}


def test_every_counterexample_is_one(many):
    verifier, x, _, found = many
    falsified = [(eps, o) for eps, outcomes in found.items() for o in outcomes if o.verdict is Verdict.FALSIFIED]
    assert falsified
    for eps, outcome in falsified:
        assert_counterexample(verifier, x[outcome.index], outcome, eps)


def test_no_sample_contradicts_a_proof(many):
    verifier, x, y, found = many
    rng = np.random.default_rng(5)
    for eps, outcomes in found.items():
        for o in outcomes:
            if o.verdict is Verdict.VERIFIED:
                corners = rng.choice([-eps, eps], size=(300, 6))
                points = np.clip(x[o.index] + corners, 0, 1).astype(np.float32)
                answers = verifier.network.runtime.logits(points)
                rest = np.delete(answers, y[o.index], axis=1).max(1)
                assert (answers[:, y[o.index]] - rest).min() >= o.margin - 1e-5


def test_a_larger_ball_is_not_easier(many):
    _, _, _, found = many
    for small, large in ((0.01, 0.05), (0.05, 0.1)):
        for a, b in zip(found[small], found[large], strict=True):
            assert not (a.verdict is Verdict.FALSIFIED and b.verdict is Verdict.VERIFIED)


def test_the_same_question_has_the_same_answer(many):
    verifier, x, y, found = many
    again = verifier.verify(x, y, Settings(0.1, timeout=20.0))
    for a, b in zip(found[0.1], again, strict=True):
        assert (a.verdict, a.reason, a.margin) == (b.verdict, b.reason, b.margin)
        assert a.counterexample is None or np.array_equal(a.counterexample, b.counterexample)


def test_outcomes_come_in_order_and_are_reported_once(many):
    verifier, x, y, _ = many
    seen = []
    numbers = list(range(100, 110))
    outcomes = verifier.verify(x[:10], y[:10], Settings(0.05), indices=numbers, report=seen.append)
    assert [o.index for o in outcomes] == numbers
    assert sorted(o.index for o in seen) == numbers


def test_no_time_leaves_the_hard_ones_unknown(tmp_path):
    verifier = random_mlp(tmp_path, 6, (8, 40, 40, 40, 3))
    x = np.random.default_rng(7).uniform(0, 1, (40, 8)).astype(np.float32)
    y = verifier.network.runtime.logits(x).argmax(1)
    outcomes = verifier.verify(x, y, Settings(0.04, timeout=0.0))
    unknown = [o for o in outcomes if o.verdict is Verdict.UNKNOWN]
    assert unknown
    assert {o.reason for o in unknown} == {"timeout after 0 s"}
    assert all(o.margin is not None and o.margin < 0 for o in unknown)


def test_gzip_is_read_like_the_file(gap, tmp_path):
    plain = gap()
    packed = tmp_path / "packed.onnx.gz"
    packed.write_bytes(gzip.compress(plain.path.read_bytes()))
    outcome = one(Verifier(packed), 0.13)
    assert_counterexample(plain, MIDDLE[0], outcome, 0.13)


def near_2_24(tmp_path, dtype):
    """Class 1 scores relu(x - 2^24), class 0 a half: at 2^24 + 1, which float32 does not hold, it is class 1."""
    consts = {"w": np.array([[0, 1]]), "c": np.array([0, -(2.0**24)]), "b": np.array([0.5, 0])}
    nodes = [node("MatMul", "x w", "u"), node("Add", "u c", "v"), node("Relu", "v", "r"), node("Add", "r b", "y")]
    consts = {name: array.astype(dtype) for name, array in consts.items()}
    return Verifier(save(make(nodes, ("batch", 1), consts, dtype=dtype), tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("dtype", "x", "label", "eps", "verdict"),
    (
        (np.float32, 2**24 + 1, 0, 0.25, Verdict.UNKNOWN),  # the runtime is fed 2^24
        (np.float32, 2**24 + 1, 0, 0.0, Verdict.UNKNOWN),
        (np.float32, 2**24 + 1, 1, 0.25, Verdict.MISCLASSIFIED),
        (np.float32, 2**24 + 1, 0, 1.5, Verdict.FALSIFIED),  # the ball holds 2^24 + 2
        (np.float32, 2**24 + 3, 1, 0.25, Verdict.VERIFIED),  # both 2^24 + 3 and 2^24 + 4 are class 1
        (np.float64, 2**24 + 1, 0, 0.25, Verdict.MISCLASSIFIED),
        (np.float64, 2**24 + 1, 1, 0.25, Verdict.VERIFIED),
        (np.float64, 2**24 + 1, 1, 0.6, Verdict.FALSIFIED),  # at 2^24 + 0.4
        (np.float64, 2**24 + 0.25, 0, 0.2, Verdict.VERIFIED),
    ),
)
@pytest.mark.parametrize("norm", Norm)
def test_balls_stand_around_the_numbers_given(tmp_path, dtype, x, label, eps, verdict, norm):
    verifier = near_2_24(tmp_path, dtype)
    given = np.array([[x]], np.float64)
    everything = {"low": -np.inf, "high": np.inf, "norm": norm, "timeout": 5.0}
    outcome = one(verifier, eps, given, label, **everything)
    assert outcome.verdict is verdict
    if verdict is Verdict.FALSIFIED:
        assert outcome.counterexample.dtype == dtype
        assert abs(Fraction(float(outcome.counterexample[0])) - x) <= Fraction(eps)
    if verdict is Verdict.UNKNOWN:
        assert "only at the nearest float32" in outcome.reason


def test_shapes_and_labels_from_python(gap):
    verifier = gap()
    x = np.full((2, 1, 2, 1), 0.5)
    for labels in (np.array([[0], [0]]), np.array(["0", "0"]), np.array([False, False]), [0, 0]):
        assert [o.verdict for o in verifier.verify(x, labels, Settings(0.1))] == [Verdict.VERIFIED] * 2
    assert Verifier(str(verifier.path)).sha256 == verifier.sha256


@pytest.mark.parametrize(
    ("x", "y", "message"),
    (
        (np.array([["a", "b"]]), ZERO, "real numbers are needed"),
        (np.full(2, 0.5), ZERO, r"a single input goes as x\[None\]"),
        (np.float64(3), ZERO, "a single number"),
        (MIDDLE, np.array(["cat"]), "are text, such as 'cat'"),
        (MIDDLE, np.array([[1, 0]]), r"y.argmax\(1\)"),
        (MIDDLE, np.array(0), "one label per input"),
        (np.zeros((1, 3), np.float32), ZERO, "the network takes"),
        (MIDDLE, np.zeros(2, np.int64), "one label per input"),
        (MIDDLE, np.array([2]), "classes 0 to 1"),
        (MIDDLE, np.array([-1]), "classes 0 to 1"),
        (MIDDLE, np.array([0.5]), "must be one integer per input, and 0.5 is among them"),
        (MIDDLE * np.nan, ZERO, "NaN"),
        (MIDDLE.astype(np.float64) * 1e300, ZERO, "beyond float32"),
        (MIDDLE * 3, ZERO, "outside the valid range"),
        (MIDDLE - 1, ZERO, "outside the valid range"),
    ),
)
def test_inputs_that_do_not_fit_are_refused(gap, x, y, message):
    with pytest.raises(InputError, match=message):
        gap().verify(x, y, Settings(0.1))


@pytest.mark.parametrize("high", (0.1, 0.3, 0.7))
def test_the_range_is_compared_exactly(gap, high):
    """float32(0.1) lies above 0.1, and float32(0.7) below 0.7."""
    x = np.full((1, 2), high, np.float32)
    if Fraction(float(x[0, 0])) > Fraction(high):
        with pytest.raises(InputError, match="outside"):
            gap().verify(x, ZERO, Settings(0.0, high=high))
    else:
        assert one(gap(), 0.0, x, high=high).verdict is Verdict.VERIFIED


@pytest.mark.parametrize(
    "settings",
    (
        {"eps": -0.1},
        {"eps": float("nan")},
        {"eps": float("inf")},
        {"eps": 0.1, "low": 1.0, "high": 0.0},
        {"eps": 0.1, "low": float("nan")},
        {"eps": 0.1, "timeout": float("inf")},
        {"eps": 0.1, "timeout": -1.0},
        {"eps": 0.1, "tolerance": 0.0},
        {"eps": 0.1, "tolerance": float("inf")},
        {"eps": 0.1, "threshold": float("nan")},
        {"eps": "0.1"},
        {"eps": [[0.1], [0.1, 0.2]]},
        {"eps": []},
        {"eps": None},
        {"eps": 0.1, "timeout": "5"},
        {"eps": 0.1, "tolerance": [0.1]},
        {"eps": 0.1, "norm": "l2"},
    ),
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError):
        Settings(**settings)


def test_whole_numbers_are_labels_in_any_type_and_ragged_rows_are_not(tmp_path):
    verifier = Verifier(save(mlp(), tmp_path / "m.onnx"))
    x = np.zeros((1, 6), np.float32)
    verdicts = {verifier.verify(x, y, Settings(0.0))[0].verdict for y in ([1], [1.0], np.array([[1.0]]))}
    assert len(verdicts) == 1
    for given, y in (([[0.0], [0.0, 1.0]], [0, 1]), (x, [[0], [0, 1]])):
        with pytest.raises(InputError, match="rows of different lengths"):
            verifier.verify(given, y, Settings(0.0))


def test_no_inputs_no_outcomes(tmp_path):
    verifier = Verifier(save(mlp(), tmp_path / "m.onnx"))
    assert verifier.verify(np.zeros((0, 6), np.float32), np.zeros(0, np.int64), Settings(0.1)) == []


def test_a_published_network_on_mnist(shared, tmp_path):
    """alpha-beta-CROWN, too, verifies all of these that are classified right."""
    verifier = Verifier(shared / "benchmarks" / "nets" / "lirpa_mnist_a_adv.onnx.gz")
    images = load_dataset("mnist", "test", shared / "data")
    outcomes = verifier.verify(images.x[:10], images.y[:10], Settings(0.1, timeout=20.0))
    answers = verifier.network.runtime.logits(images.x[:10]).argmax(1)
    for outcome, answer in zip(outcomes, answers, strict=True):
        assert outcome.verdict is (Verdict.VERIFIED if answer == outcome.label else Verdict.MISCLASSIFIED)
