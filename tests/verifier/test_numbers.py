"""Where numbers leave what float64 analyses: overflow, underflow, constants that were rounded, points beside a ball."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier import Verdict, load, robustness, verify
from glscert.verifier.errors import UnsupportedError
from glscert.verifier.spec import Clause, Query, Row, read_query
from onnx_models import make, node


def saved(path, nodes, inputs, consts):
    given = {name: np.float32(value) for name, value in consts.items()}
    path.write_bytes(make(nodes, ("batch", inputs), given).SerializeToString())
    return path


def asked(path, lower, upper, condition):
    network, property = load(path), path.with_suffix(".vnnlib")
    box = f"(assert (>= X_0 {lower})) (assert (<= X_0 {upper}))"
    property.write_text(f"(declare-const X_0 Real) (declare-const Y_0 Real) {box} (assert {condition})")
    return verify(network, read_query(property, 1, 1), timeout=5).verdict


def test_a_limit_at_the_end_of_float32_is_one(tmp_path):
    """Clip without a maximum ends at float32's greatest number, 3.403e38."""
    nodes = [node("MatMul", "x w", "z"), node("Clip", "z low", "c"), node("MatMul", "c v", "y")]
    path = saved(tmp_path / "m.onnx", nodes, 1, {"w": [[3e38]], "low": 0, "v": [[0.5]]})
    assert asked(path, 1.3, 1.4, "(<= Y_0 1.75e38)") is not Verdict.VERIFIED
    assert asked(path, 0.5, 1, "(>= Y_0 1.6e38)") is Verdict.VERIFIED


def test_coefficients_that_underflow_are_counted(tmp_path):
    nodes = [node("MatMul", "x up", "z"), node("Relu", "z", "v0")]
    nodes += [node("MatMul", f"v{k} down", f"v{k + 1}") for k in range(7)] + [node("MatMul", "v7 down", "y")]
    path = saved(tmp_path / "m.onnx", nodes, 1, {"up": [[1e38]], "down": [[1e-42]]})
    assert asked(path, 1, 2, "(>= Y_0 1e-300)") is not Verdict.VERIFIED


@pytest.mark.parametrize(("large", "small"), ((1e20, 1), (2**24, 2**-31)))
def test_constants_that_cancel(tmp_path, large, small):
    """y = relu(x + ((large + small) - large))."""
    nodes = [node("Add", "a b", "s"), node("Sub", "s a", "d"), node("Add", "x d", "z"), node("Relu", "z", "y")]
    path = saved(tmp_path / "m.onnx", nodes, 1, {"a": [large], "b": [small]})
    with pytest.raises(UnsupportedError, match="cancel"):
        load(path)


def test_a_constant_that_is_rounded_confirms_nothing_at_the_border(tmp_path):
    """x / sqrt(10/7) at 0.1 lies between the threshold and what it is with the factor that float64 has."""
    nodes = [node("BatchNormalization", "x s b m v", "y", epsilon=0.0)]
    path = saved(tmp_path / "m.onnx", nodes, 1, {"s": [1], "b": [0], "m": [0], "v": [10 / 7]})
    assert not load(path).graph.rounding == 0
    assert asked(path, 0.1, 0.1, "(>= Y_0 0.083666001656031103607)") is not Verdict.FALSIFIED
    assert asked(path, 0.1, 0.1, "(>= Y_0 0.0836660015)") is Verdict.FALSIFIED


def test_a_counterexample_beside_the_ball_has_to_hold_inside(tmp_path):
    """x0 is fixed to 0.1, onnxruntime is fed the float32 next to it, and only there does the label lose."""
    nodes = [node("Sub", "x c", "d"), node("MatMul", "d w", "y")]
    consts = {"c": [[0.1, 0.595]], "w": [[-1e5, 0], [-1, 0]]}
    network = load(saved(tmp_path / "m.onnx", nodes, 2, consts))
    for free, verdict in ((0.09505, Verdict.UNKNOWN), (0.2, Verdict.FALSIFIED)):
        eps = np.array([0, free])
        (answer,) = robustness(network, np.array([[0.1, 0.5]]), np.array([0]), eps, timeout=5)
        assert answer.verdict is verdict


def test_a_network_without_weights_at_its_border(tmp_path):
    path = saved(tmp_path / "m.onnx", [node("Softsign", "x", "y")], 1, {})
    assert asked(path, -1, 1, "(> Y_0 0.5)") is not Verdict.FALSIFIED
    assert asked(path, -1, 1, "(> Y_0 0.51)") is Verdict.VERIFIED


def test_a_box_as_narrow_as_float64_has_numbers(tmp_path):
    path = saved(tmp_path / "m.onnx", [node("Relu", "x", "y")], 1, {})
    assert asked(path, "1e-400", "1e-390", "(< Y_0 -1)") is Verdict.VERIFIED
    assert asked(path, "1e-400", "1e-390", "(< Y_0 X_0)") is not Verdict.FALSIFIED


def test_a_point_that_only_exact_numbers_break_is_told(tmp_path):
    """0.3 x at the one point of the box: float32 rounds it below the threshold, which it exceeds."""
    path = saved(tmp_path / "m.onnx", [node("Gemm", "x w", "y", alpha=0.3)], 1, {"w": [[1]]})
    x = np.float32(0.24770169)
    exact, rounded = Fraction(float(np.float32(0.3))) * Fraction(float(x)), np.float32(0.3) * x
    below = Fraction(float(rounded)) < exact
    border = exact if below else -exact
    assert Fraction(float(rounded)) != exact
    row = Row(((0, Fraction(-1 if below else 1)),), border)
    query = Query(1, 1, (Clause(*(np.float64([x]),) * 2, (np.float64([x]), np.float64([x])), (row,)),))
    found = verify(load(path), query, timeout=5)
    assert found.verdict is Verdict.UNKNOWN and "in exact numbers, and not in onnxruntime" in found.reason
