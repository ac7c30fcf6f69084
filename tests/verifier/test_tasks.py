"""Binary classifiers of one output, regressions, and what a last Sigmoid or Tanh keeps: truths known by hand, by a
mixed-integer program, and by onnxruntime."""

import numpy as np
import pytest

from exact import least
from glscert.verifier import Verdict, load, robustness
from glscert.verifier.errors import InputError, UnsupportedError
from glscert.verifier.graph.ordered import ordered
from glscert.verifier.region import Norm
from onnx_models import make, node, normal
from reference import dense

MIDDLE = np.full((1, 2), 0.5, np.float32)
ENDINGS = {
    "plain": [],
    "Sigmoid": [node("Sigmoid", "z", "y")],
    "Tanh": [node("Tanh", "z", "y")],
    "Sigmoid, flat": [node("Sigmoid", "z", "s"), node("Flatten", "s", "y")],
}


def far_apart(path, ending=(), scale=1.0, dims=("batch", 2)):
    """z = scale · (|x0 - x1| - 1/4), then the nodes of `ending`."""
    consts = {
        "w": np.float32([[1, -1], [-1, 1]]),
        "v": np.float32([[scale], [scale]]),
        "b": np.float32([-0.25 * scale]),
    }
    last = "z" if ending else "y"
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "m"), node("Add", "m b", last)]
    path.write_bytes(make([*nodes, *ending], dims, consts).SerializeToString())
    return load(path)


def one(network, eps, label, x=MIDDLE, **settings):
    labels = None if label is None else np.array([label])
    (answer,) = robustness(network, x, labels, eps, **settings)
    return answer


@pytest.mark.parametrize("dims", [("batch", 2), (1, 2), (2,)], ids=str)
@pytest.mark.parametrize("name", ENDINGS)
def test_a_binary_classifier(tmp_path, name, dims):
    """Class 0 around (1/2, 1/2) where 2 eps < 1/4; class 1 around (1, 0.25), where |x0 - x1| >= 0.75 - 2 eps."""
    if len(dims) == 1 and "flat" in name:
        dims = (1, 2)
    network = far_apart(tmp_path / "m.onnx", ENDINGS[name], dims=dims)
    assert one(network, 0.12, 0).verdict is Verdict.VERIFIED
    broken = one(network, 0.13, 0)
    assert broken.verdict is Verdict.FALSIFIED and broken.margin <= 0
    threshold = 0.5 if "Sigmoid" in name else 0.0
    assert network.runtime.logits(broken.witness.x[None])[0, 0] >= threshold
    assert np.abs(broken.witness.x - 0.5).max() <= 0.13 + 1e-7
    apart = np.float32([[1, 0.25]])
    assert one(network, 0.2, 1, apart).verdict is Verdict.VERIFIED
    assert one(network, 0.3, 1, apart).verdict is Verdict.FALSIFIED
    wrong = one(network, 0.01, 1)
    assert wrong.verdict is Verdict.MISCLASSIFIED and wrong.reason.startswith("the network answers 0, by a score of")


@pytest.mark.parametrize(
    "name, threshold, holds, breaks",
    [("plain", -0.125, 0.06, 0.065), ("Sigmoid", 0.6, 0.32, 0.34), ("Tanh", 0.2, 0.22, 0.23)],
)
def test_another_threshold(tmp_path, name, threshold, holds, breaks):
    """|x0 - x1| up to 1/8; up to 1/4 + log(1.5) = 0.6554...; up to 1/4 + atanh(0.2) = 0.4527..."""
    network = far_apart(tmp_path / "m.onnx", ENDINGS[name])
    assert one(network, holds, 0, threshold=threshold).verdict is Verdict.VERIFIED
    assert one(network, breaks, 0, threshold=threshold).verdict is Verdict.FALSIFIED


def test_the_threshold_itself_is_neither_class(tmp_path):
    tie = np.float32([[0.75, 0.5]])
    for label in (0, 1):
        outcome = one(far_apart(tmp_path / "m.onnx", ENDINGS["Sigmoid"]), 0.0, label, tie)
        assert (outcome.verdict, outcome.reason) == (Verdict.MISCLASSIFIED, "the score is the threshold 0.5")


def test_a_saturated_sigmoid_is_proved_before_it(tmp_path):
    """Its own bounds end at 1, and those of what goes into it do not."""
    outcome = one(far_apart(tmp_path / "m.onnx", ENDINGS["Sigmoid"], scale=1000), 0.1, 1, np.float32([[1, 0]]))
    assert outcome.verdict is Verdict.VERIFIED and outcome.margin > 100


def three(path, ending):
    """Logits (1/4, |x0 - x1|, -1) · 4 before the last curve."""
    consts = {
        "w": np.float32([[1, -1], [-1, 1]]),
        "v": np.float32([[0, 4, 0], [0, 4, 0]]),
        "b": np.float32([1, 0, -4]),
    }
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "m"), node("Add", "m b", "z")]
    path.write_bytes(make([*nodes, *ending], ("batch", 2), consts).SerializeToString())
    return load(path)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "Sigmoid, flat"])
def test_a_last_curve_keeps_the_order_of_classes(tmp_path, name):
    network = three(tmp_path / "m.onnx", ENDINGS[name])
    proved, broken = one(network, 0.12, 0), one(network, 0.13, 0)
    assert proved.verdict is Verdict.VERIFIED
    assert proved.margin <= 4 * (0.25 - 0.24) + 1e-6
    assert broken.verdict is Verdict.FALSIFIED
    scores = network.runtime.logits(broken.witness.x[None])[0]
    assert scores[1] >= scores[0]


def test_only_a_last_growing_curve_over_all_outputs_is_passed_over(tmp_path):
    falling = [node("Sigmoid", "z", "s"), node("Neg", "s", "y")]
    scaled = [node("Sigmoid", "z", "s"), node("Mul", "s c", "y")]
    for place, (ending, consts) in enumerate([(falling, {}), (scaled, {"c": np.float32([1, 2, 3])})]):
        path = tmp_path / f"{place}.onnx"
        nodes = [node("MatMul", "x w", "z"), *ending]
        path.write_bytes(make(nodes, ("batch", 2), {"w": normal(2, 3), **consts}).SerializeToString())
        network = load(path)
        assert ordered(network.graph, network.engine.params) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_regression_moves_as_far_as_the_mixed_integer_program_says(tmp_path, seed):
    rng = np.random.default_rng(seed)
    outputs = 1 + seed % 3
    consts = {
        name: np.float32(rng.normal(size=size))
        for name, size in {"w": (3, 8), "b": (8,), "v": (8, outputs), "c": (outputs,)}.items()
    }
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "n")]
    nodes.append(node("Add", "n c", "y"))
    path = tmp_path / "m.onnx"
    path.write_bytes(make(nodes, ("batch", 3), consts).SerializeToString())
    network = load(path)
    x, eps = np.float32(rng.uniform(0.2, 0.8, (1, 3))), 0.15
    answer = network.runtime.logits(x)[0].astype(np.float64)
    matrices = dense(network.graph, network.engine.params)
    ends = x[0].astype(np.float64) - eps, x[0].astype(np.float64) + eps
    far = max(
        -least(matrices, *ends, sign * np.eye(outputs)[k], -sign * answer[k])[0]
        for k in range(outputs)
        for sign in (1, -1)
    )
    proved = one(network, eps, None, x, tolerance=far + 1e-3)
    assert proved.verdict is Verdict.VERIFIED and 0 < proved.margin < 2e-3
    broken = one(network, eps, None, x, tolerance=far - 1e-3)
    assert broken.verdict is Verdict.FALSIFIED
    moved = np.abs(network.runtime.logits(broken.witness.x[None])[0] - answer).max()
    assert moved > far - 1e-3 and broken.margin == pytest.approx(far - 1e-3 - moved, abs=1e-9)


def test_a_regression_keeps_its_own_prediction_and_labels_judge_that(tmp_path):
    """At (1/2, 1/2) the answer is -1/4, and it rises by 2 eps."""
    network = far_apart(tmp_path / "m.onnx")
    near = one(network, 0.04, -0.2, tolerance=0.1)  # 0.13 from the label at the end, 0.08 from the prediction
    assert near.verdict is Verdict.VERIFIED
    off = one(network, 0.0, -0.4, tolerance=0.1)
    assert (off.verdict, off.reason) == (Verdict.MISCLASSIFIED, "the network answers -0.25")
    assert off.margin == pytest.approx(-0.05)
    assert one(network, 0.0, -0.35, tolerance=0.1).verdict is Verdict.VERIFIED
    assert one(network, 0.06, None, tolerance=0.1).verdict is Verdict.FALSIFIED


def test_a_sigmoid_is_a_number_to_a_regression(tmp_path):
    """1 / (1 + exp(1/4)) = 0.4378; 0.5 at |x0 - x1| = 1/4."""
    network = far_apart(tmp_path / "m.onnx", ENDINGS["Sigmoid"])
    assert one(network, 0.12, None, tolerance=0.0622).verdict is Verdict.VERIFIED
    assert one(network, 0.13, None, tolerance=0.0622).verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("norm, holds, breaks", [("l2", 0.17, 0.18), ("l1", 0.24, 0.26)])
def test_balls_of_other_norms(tmp_path, norm, holds, breaks):
    """|x0 - x1| reaches sqrt(2) eps in l2 and eps in l1."""
    for name, settings in (("Sigmoid", {}), ("plain", {"tolerance": 0.25})):
        network = far_apart(tmp_path / f"{name}.onnx", ENDINGS[name])
        label = 0 if name == "Sigmoid" else None
        assert one(network, holds, label, norm=Norm(norm), **settings).verdict is Verdict.VERIFIED
        assert one(network, breaks, label, norm=Norm(norm), **settings).verdict is Verdict.FALSIFIED


def test_what_does_not_go_together_is_refused(tmp_path):
    single, several = far_apart(tmp_path / "a.onnx"), three(tmp_path / "b.onnx", ENDINGS["Tanh"])
    behind = far_apart(tmp_path / "c.onnx", ENDINGS["Sigmoid"])
    for network, label, settings, message in (
        (single, 2, {}, "labels run from 2 to 2.*--tolerance"),
        (single, 0.5, {}, "one integer per input, and 0.5 is among"),
        (single, None, {}, "no labels"),
        (single, 0, {"tolerance": 0.1, "threshold": 0.5}, "leave one out"),
        (behind, 0, {"threshold": 1.0}, "the output lies between 0 and 1 and never is either"),
        (several, 0, {"threshold": 0.5}, "a threshold is of a single output"),
        (several, 0.5, {"tolerance": 0.1}, r"a number for each output, \[1, 3\]"),
        (single, np.nan, {"tolerance": 0.1}, "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            one(network, 0.1, label, **settings)


@pytest.mark.parametrize("ending, columns, settings", [("Softmax", 3, {"tolerance": 0.1}), ("Softmax", 1, {})])
def test_a_softmax_is_no_number(tmp_path, ending, columns, settings):
    nodes = [node("MatMul", "x w", "z"), node(ending, "z", "y")]
    (tmp_path / "m.onnx").write_bytes(make(nodes, ("batch", 2), {"w": normal(2, columns)}).SerializeToString())
    with pytest.raises(UnsupportedError, match="m.onnx: the network ends in Softmax"):
        one(load(tmp_path / "m.onnx"), 0.1, 0, **settings)


def test_infinite_outputs_are_no_prediction(tmp_path):
    nodes = [node("MatMul", "x w", "h"), node("Mul", "h c", "y")]
    consts = {"w": np.float32([[3e38], [3e38]]), "c": np.float32(2)}
    (tmp_path / "m.onnx").write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    outcome = one(load(tmp_path / "m.onnx"), 0.1, None, tolerance=0.5)
    assert (outcome.verdict, outcome.margin) == (Verdict.MISCLASSIFIED, None)
    assert outcome.reason == "onnxruntime returns NaN or infinity among the outputs"
