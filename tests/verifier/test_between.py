"""Inputs that are fixed to decimals: the nearest float32 number stands for them."""

import numpy as np
import pytest

from glscert.verifier import Verdict, load, verify
from glscert.verifier.spec import read_query
from onnx_models import make, node, normal


@pytest.fixture
def network(tmp_path):
    """relu(x0 + x1)."""
    nodes = [node("MatMul", "x w", "z"), node("Relu", "z", "y")]
    path = tmp_path / "sum.onnx"
    path.write_bytes(make(nodes, ("batch", 2), {"w": np.float32([[1], [1]])}).SerializeToString())
    return load(path)


def asked(network, tmp_path, *assertions, outputs=1):
    (inputs,) = network.graph.input_shape
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{i}" for i in range(outputs)]
    declared = "".join(f"(declare-const {name} Real)\n" for name in names)
    path = tmp_path / "p.vnnlib"
    path.write_text(declared + "".join(f"(assert {each})\n" for each in assertions))
    return verify(network, read_query(path, inputs, outputs), timeout=10)


BETWEEN_0_AND_1 = "(and (>= X_1 0) (<= X_1 1))"


def test_a_fixed_decimal_can_be_sat(network, tmp_path):
    found = asked(network, tmp_path, "(and (>= X_0 0.1) (<= X_0 0.1))", BETWEEN_0_AND_1, "(>= Y_0 0.5)")
    assert found.verdict is Verdict.FALSIFIED and found.nearest == (0,)
    assert found.witness.x[0] == np.float32(0.1) and found.witness.y[0] >= 0.5


def test_without_decimals_nothing_is_said_of_the_nearest(network, tmp_path):
    found = asked(network, tmp_path, "(= X_0 0.5)", BETWEEN_0_AND_1, "(>= Y_0 0.5)")
    assert found.verdict is Verdict.FALSIFIED and found.nearest == ()


def test_a_property_without_an_output_is_sat(network, tmp_path):
    assert asked(network, tmp_path, "(= X_0 0.1)", "(= X_1 0.7)").verdict is Verdict.FALSIFIED


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ("(>= Y_0 0.4)", Verdict.VERIFIED),
        ("(>= Y_0 0.3)", Verdict.FALSIFIED),
        ("(> Y_0 0.300000005)", Verdict.UNKNOWN),  # float32 gives 0.3000000119, the real sum is 0.3
        ("(>= Y_0 0.30000000447)", Verdict.UNKNOWN),  # above 0.3, yet what the float32 numbers add up to is not below
    ],
)
def test_float32_and_the_exact_point_have_to_agree(network, tmp_path, condition, verdict):
    """x0 = 0.1, x1 = 0.2: their float32 numbers are 0.10000000149 and 0.20000000298."""
    found = asked(network, tmp_path, "(= X_0 0.1)", "(= X_1 0.2)", condition)
    assert found.verdict is verdict, found
    if verdict is Verdict.UNKNOWN:
        assert "exact" in found.reason


def test_sat_only_where_onnxruntime_breaks_it_too(network, tmp_path):
    """The sum 0.1 + 0.2 is at most 0.3, that of the float32 numbers is not."""
    found = asked(network, tmp_path, "(= X_0 0.1)", "(= X_1 0.2)", "(<= Y_0 0.3)")
    assert found.verdict is Verdict.UNKNOWN


def test_a_proof_covers_the_nearest_float32_too(network, tmp_path):
    """0.1 exactly stays below 0.100000001, float32(0.1) = 0.1000000015 does not."""
    found = asked(network, tmp_path, "(= X_0 0.1)", "(= X_1 0)", "(>= Y_0 0.100000001)")
    assert found.verdict is Verdict.UNKNOWN


def test_smooth_networks_are_enclosed(tmp_path):
    nodes = [node("MatMul", "x w", "z"), node("Sigmoid", "z", "s"), node("MatMul", "s v", "y")]
    consts = {"w": normal(3, 5), "v": normal(5, 1)}
    path = tmp_path / "smooth.onnx"
    path.write_bytes(make(nodes, ("batch", 3), consts).SerializeToString())
    network = load(path)
    point = np.float32([0.1, 0.7, -0.3])
    level = float(network.scores(point[None])[0, 0])
    fixed = "(and (= X_0 0.1) (= X_1 0.7) (= X_2 -0.3))"
    assert asked(network, tmp_path, fixed, f"(<= Y_0 {level + 1e-3:.9f})").verdict is Verdict.FALSIFIED
    assert asked(network, tmp_path, fixed, f"(<= Y_0 {level - 1e-3:.9f})").verdict is Verdict.VERIFIED
