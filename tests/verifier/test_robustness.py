"""Verdicts on networks whose truth is known by hand, and on real ones; what `falsified` and `verified` promise."""

import gzip
from fractions import Fraction

import numpy as np
import onnxruntime
import pytest

from glscert.verifier import Verdict, load, robustness
from glscert.verifier.data import load_dataset
from glscert.verifier.errors import InputError
from glscert.verifier.region import Norm
from glscert.verifier.run.labels import robust
from glscert.verifier.settings import Settings
from onnx_models import make, mlp, node

MIDDLE = np.full((1, 2), 0.5, np.float32)
ZERO = np.zeros(1, np.int64)


def save(proto, path):
    path.write_bytes(proto.SerializeToString())
    return path


def one(network, eps, x=MIDDLE, label=0, **settings):
    (answer,) = robustness(network, x, np.full(1, label), eps, **settings)
    return answer


def scores(network, point):
    """What onnxruntime answers for one point, on the file itself."""
    session = onnxruntime.InferenceSession(network.path.read_bytes(), providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    shape = [n if isinstance(n, int) else 1 for n in declared.shape]
    return session.run(None, {declared.name: point.reshape(shape)})[0].ravel()


def assert_counterexample(network, x, answer, eps, label=0, low=0, high=1):
    """Inside the ball and the range as exact numbers, and not the label's in onnxruntime."""
    point = answer.witness.x
    assert point.dtype == np.float32 and point.shape == x.shape
    for a, b in zip(point.ravel().tolist(), x.ravel().tolist(), strict=True):
        assert abs(Fraction(a) - Fraction(b)) <= Fraction(str(eps))
        assert low <= a <= high
    found = scores(network, point)
    assert found[label] <= np.delete(found, label).max()
    assert answer.margin == answer.witness.margin <= 0


@pytest.mark.parametrize("dims", (("batch", 2), (1, 2), (2,)), ids=("dynamic", "batch-1", "rank-1"))
class TestWhatIsKnownByHand:
    """Class 0 wins on the ball of radius eps around (1/2, 1/2) exactly where 2 eps < 1/4."""

    @pytest.mark.parametrize(("eps", "stage"), ((0.0, "IBP"), (0.06, "IBP"), (0.1, "DeepPoly"), (0.12, "DeepPoly")))
    def test_proved_by_the_least_stage_that_can(self, gap, dims, eps, stage):
        answer = one(gap(dims=dims), eps)
        assert answer.verdict is Verdict.VERIFIED
        assert answer.margin <= 0.25 - 2 * eps + 1e-6
        assert answer.reason == stage

    def test_refuted(self, gap, dims):
        network = gap(dims=dims)
        answer = one(network, 0.13)
        assert answer.verdict is Verdict.FALSIFIED
        assert answer.reason == "input splitting"  # the first descent begins in the middle, where nothing slopes
        assert_counterexample(network, MIDDLE[0], answer, 0.13)

    def test_misclassified(self, gap, dims):
        answer = one(gap(dims=dims), 0.01, label=1)
        assert (answer.verdict, answer.reason) == (Verdict.MISCLASSIFIED, "the network answers 0")
        assert answer.margin == -0.25


def test_a_tie_is_not_won(gap):
    tied = np.array([[0.75, 0.5]], np.float32)
    assert one(gap(0.25), 0.0, tied, 0).reason == "another class scores as high as the label"
    assert one(gap(0.25), 0.0, tied, 1).verdict is Verdict.MISCLASSIFIED


def test_eps_0_proves_what_is_classified_with_any_margin(gap):
    answer = one(gap(2**-20, arithmetic="real"), 0.0)
    assert answer.verdict is Verdict.VERIFIED
    assert 0 < answer.margin <= 2**-20


def test_the_range_cuts_the_ball(gap):
    corner = np.zeros((1, 2), np.float32)
    assert one(gap(0.25), 0.2, corner).verdict is Verdict.VERIFIED  # without the range |x0 - x1| would reach 0.4
    free = one(gap(0.25), 0.2, corner, low=-1.0)
    assert free.verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("slope", (0.0, 2.0**-48))
def test_a_margin_of_rounding_size_is_for_exact_arithmetic(tmp_path, slope):
    """Class 0 leads by 2e-16 of scores of size 1, in float64: too little to trust a computed bound. With a slope it
    loses the lead within the ball."""
    consts = {"w": np.array([[slope, 0.0], [0.0, 0.0]]), "b": np.array([1 + 2.0**-52 - slope / 2, 1.0])}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "y")]
    network = load(save(make(nodes, ("batch", 2), consts, dtype=np.float64), tmp_path / "m.onnx"), arithmetic="real")
    answer = one(network, 0.1, timeout=1.0)
    if slope:
        assert answer.verdict is not Verdict.VERIFIED
    else:
        assert (answer.verdict, answer.margin) == (Verdict.VERIFIED, 0.0)


@pytest.mark.parametrize("lead", (1e-8, -1e-8))
def test_cancelling_weights_ask_for_exact_arithmetic(tmp_path, lead):
    """h - h cancels to a lead of 1e-8, but through terms of size 1e8 whose rounding a bound cannot see."""
    consts = {"w1": np.array([[1e8, 1e8]]), "w2": np.array([[1.0, 0], [-1.0, 0]]), "b": np.array([lead, 0])}
    nodes = [node("MatMul", "x w1", "h"), node("MatMul", "h w2", "m"), node("Add", "m b", "y")]
    network = load(save(make(nodes, ("batch", 1), consts, dtype=np.float64), tmp_path / "m.onnx"), arithmetic="real")
    answer = one(network, 0.0, np.full((1, 1), 0.5, np.float32))
    assert answer.verdict is (Verdict.VERIFIED if lead > 0 else Verdict.MISCLASSIFIED)


def test_scores_that_are_no_numbers_are_never_right(tmp_path):
    """In float32 x · 1e30 · 1e30 overflows and inf - inf is NaN, though the weights are finite."""
    consts = {"big": np.full((2, 2), 1e30, np.float32), "eye": np.array([[1, -1], [-1, 1]], np.float32)}
    nodes = [node("MatMul", "x big", "a"), node("MatMul", "a big", "b"), node("MatMul", "b eye", "y")]
    network = load(save(make(nodes, ("batch", 2), consts), tmp_path / "m.onnx"))
    for label in (0, 1):
        answer = one(network, 0.1, label=label)
        assert answer.verdict is Verdict.MISCLASSIFIED
        assert answer.reason == "onnxruntime returns NaN among the scores"
        assert answer.margin is None


def test_nan_bounds_prove_nothing(tmp_path):
    """Finite scores at the point, bounds that overflow even in float64."""
    consts = {"big": np.full((2, 2), 1e300), "eye": np.array([[1.0, 0.0], [0.0, 0.0]]), "b": np.array([1.0, 0.0])}
    nodes = [node("MatMul", "x big", "a"), node("Relu", "a", "r"), node("MatMul", "r big", "c"), node("Relu", "c", "s")]
    nodes += [node("MatMul", "s eye", "d"), node("Add", "d b", "y")]
    network = load(save(make(nodes, ("batch", 2), consts, dtype=np.float64), tmp_path / "m.onnx"))
    answer = one(network, 0.1, np.zeros((1, 2), np.float32), timeout=2.0)
    assert answer.verdict in (Verdict.UNKNOWN, Verdict.FALSIFIED)


def test_a_planted_counterexample_is_found(tmp_path):
    """Class 1 wins in one corner of the ball only: relu(x0 + x1 - 1.19) * 100 there reaches 1."""
    consts = {"w1": np.ones((2, 1), np.float32), "b1": np.array([-1.19], np.float32)}
    consts |= {"w2": np.array([[0, 100]], np.float32), "b2": np.array([0.5, 0], np.float32)}
    nodes = [node("MatMul", "x w1", "a"), node("Add", "a b1", "h"), node("Relu", "h", "r")]
    nodes += [node("MatMul", "r w2", "m"), node("Add", "m b2", "y")]
    network = load(save(make(nodes, ("batch", 2), consts), tmp_path / "m.onnx"))
    answer = one(network, 0.1)
    assert answer.verdict is Verdict.FALSIFIED
    assert_counterexample(network, MIDDLE[0], answer, 0.1)
    assert one(network, 0.09).verdict is Verdict.VERIFIED


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
    return load(save(make(nodes, ("batch", sizes[0]), consts), tmp_path / name))


@pytest.fixture(scope="module", params=(6, 24))
def many(request, tmp_path_factory):
    """A random network of few inputs or more, 100 of them with its own answers as labels, and their answers at three
    radii."""
    network = random_mlp(tmp_path_factory.mktemp("many"), 3, (request.param, 24, 24, 3))
    x = np.random.default_rng(4).uniform(0, 1, (100, request.param)).astype(np.float32)
    y = network.runtime.logits(x).argmax(1)
    return network, x, y, {eps: robustness(network, x, y, eps, timeout=20.0) for eps in (0.01, 0.05, 0.1)}


def test_every_stage_decides_something(many):
    network, _, _, found = many
    reasons = {answer.reason.split(",")[0] for answers in found.values() for answer in answers}
    late = {"input splitting"} if network.entries == 6 else {"alpha-CROWN", "branch and bound"}
    assert reasons >= {"IBP", "DeepPoly", "attack", *late}


def test_every_counterexample_is_one(many):
    network, x, y, found = many
    told = [(eps, *each) for eps, answers in found.items() for each in zip(x, y, answers, strict=True)]
    falsified = [each for each in told if each[-1].verdict is Verdict.FALSIFIED]
    assert falsified
    for eps, own, label, answer in falsified:
        assert_counterexample(network, own, answer, eps, label)


def test_no_sample_contradicts_a_proof(many):
    network, x, y, found = many
    rng = np.random.default_rng(5)
    for eps, answers in found.items():
        for own, label, answer in zip(x, y, answers, strict=True):
            if answer.verdict is Verdict.VERIFIED:
                corners = rng.choice([-eps, eps], size=(300, network.entries))
                scored = network.runtime.logits(np.clip(own + corners, 0, 1).astype(np.float32))
                rest = np.delete(scored, label, axis=1).max(1)
                assert (scored[:, label] - rest).min() >= answer.margin - 1e-5


def test_a_larger_ball_is_not_easier(many):
    _, _, _, found = many
    for small, large in ((0.01, 0.05), (0.05, 0.1)):
        for a, b in zip(found[small], found[large], strict=True):
            assert not (a.verdict is Verdict.FALSIFIED and b.verdict is Verdict.VERIFIED)


def test_the_same_question_has_the_same_answer(many):
    network, x, y, found = many
    again = robustness(network, x, y, 0.1, timeout=20.0)
    for a, b in zip(found[0.1], again, strict=True):
        assert (a.verdict, a.reason, a.margin) == (b.verdict, b.reason, b.margin)
        assert a.witness is None or np.array_equal(a.witness.x, b.witness.x)


def test_answers_come_in_order_and_are_reported_once(many):
    network, x, y, found = many
    seen, numbers = [], list(range(100, 110))
    answers = robust(
        network, x[:10], y[:10], Settings(0.05), indices=numbers, report=lambda *each: seen.append(each)
    )  # fmt: skip
    assert [answer.verdict for answer in answers] == [answer.verdict for answer in found[0.05][:10]]
    assert sorted(seen, key=lambda each: each[0]) == list(zip(numbers, answers, strict=True))


def test_no_time_leaves_the_hard_ones_open(tmp_path):
    network = random_mlp(tmp_path, 6, (8, 40, 40, 40, 3))
    x = np.random.default_rng(7).uniform(0, 1, (40, 8)).astype(np.float32)
    y = network.runtime.logits(x).argmax(1)
    late = [each for each in robustness(network, x, y, 0.04, timeout=0.0) if each.verdict is Verdict.TIMEOUT]
    assert late
    assert all(each.reason.startswith("timeout after 0 s, the lowest open bound is -") for each in late)
    assert all(each.margin is not None and each.margin < 0 for each in late)


def test_gzip_is_read_like_the_file(gap, tmp_path):
    plain = gap()
    packed = tmp_path / "packed.onnx.gz"
    packed.write_bytes(gzip.compress(plain.path.read_bytes()))
    answer = one(load(packed), 0.13)
    assert_counterexample(plain, MIDDLE[0], answer, 0.13)


def near_2_24(tmp_path, dtype):
    """Class 1 scores relu(x - 2^24), class 0 a half: at 2^24 + 1, which float32 does not hold, it is class 1."""
    consts = {"w": np.array([[0, 1]]), "c": np.array([0, -(2.0**24)]), "b": np.array([0.5, 0])}
    nodes = [node("MatMul", "x w", "u"), node("Add", "u c", "v"), node("Relu", "v", "r"), node("Add", "r b", "y")]
    consts = {name: array.astype(dtype) for name, array in consts.items()}
    return load(save(make(nodes, ("batch", 1), consts, dtype=dtype), tmp_path / "m.onnx"), arithmetic="real")


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
    network = near_2_24(tmp_path, dtype)
    given = np.array([[x]], np.float64)
    everything = {"low": -np.inf, "high": np.inf, "norm": norm, "timeout": 5.0, "seed": 1}
    answer = one(network, eps, given, label, **everything)
    assert answer.verdict is verdict
    if verdict is Verdict.FALSIFIED:
        assert answer.witness.x.dtype == dtype
        assert abs(Fraction(float(answer.witness.x[0])) - x) <= Fraction(eps)
    if verdict is Verdict.UNKNOWN:
        assert "only at the nearest float32" in answer.reason


def test_shapes_and_labels_from_python(gap):
    network = gap()
    x = np.full((2, 1, 2, 1), 0.5)
    for labels in (np.array([[0], [0]]), np.array(["0", "0"]), np.array([False, False]), [0, 0]):
        assert [answer.verdict for answer in robustness(network, x, labels, 0.1)] == [Verdict.VERIFIED] * 2
    (first, _) = robustness(str(network.path), x, labels, 0.1)
    assert first.verdict is Verdict.VERIFIED


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
        robustness(gap(), x, y, 0.1)


@pytest.mark.parametrize("high", (0.1, 0.3, 0.7))
def test_the_range_is_compared_exactly(gap, high):
    """float32(0.1) lies above 0.1, and float32(0.7) below 0.7."""
    x = np.full((1, 2), high, np.float32)
    if Fraction(float(x[0, 0])) > Fraction(high):
        with pytest.raises(InputError, match="outside"):
            robustness(gap(), x, ZERO, 0.0, high=high)
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
    network = load(save(mlp(), tmp_path / "m.onnx"))
    x = np.zeros((1, 6), np.float32)
    verdicts = {robustness(network, x, y, 0.0)[0].verdict for y in ([1], [1.0], np.array([[1.0]]))}
    assert len(verdicts) == 1
    for given, y in (([[0.0], [0.0, 1.0]], [0, 1]), (x, [[0], [0, 1]])):
        with pytest.raises(InputError, match="rows of different lengths"):
            robustness(network, given, y, 0.0)


def test_no_inputs_no_answers(tmp_path):
    network = load(save(mlp(), tmp_path / "m.onnx"))
    assert robustness(network, np.zeros((0, 6), np.float32), np.zeros(0, np.int64), 0.1) == []


def test_a_published_network_on_mnist(shared, tmp_path):
    """alpha-beta-CROWN, too, verifies all of these that are classified right."""
    network = load(shared / "benchmarks" / "nets" / "lirpa_mnist_a_adv.onnx.gz")
    images = load_dataset("mnist", "test", shared / "data")
    answers = robustness(network, images.x[:10], images.y[:10], 0.1, timeout=20.0)
    right = network.runtime.logits(images.x[:10]).argmax(1) == images.y[:10]
    assert [answer.verdict for answer in answers] == [
        Verdict.VERIFIED if each else Verdict.MISCLASSIFIED for each in right
    ]
