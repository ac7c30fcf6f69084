"""In float32 what is never negative, however it is rounded, is proved at the very border; other borders are unknown."""

from pathlib import Path

import numpy as np
import pytest

from clauses import clause
from glscert.verifier import Verdict, load, verify
from glscert.verifier.spec import Query
from onnx_models import make, node

WEIGHTS = {"w": [[1.5, -0.7, 0.3], [-2.1, 0.9, 1.1]], "up": [[0.3], [1.7], [0.9]], "b": [0.25], "minus": [-1.0]}


def asked(folder: Path, last: list, rows: list, lower: list[float]) -> tuple[Verdict, str]:
    nodes = [node("MatMul", "x w", "z"), node("Relu", "z", "r"), *last]
    consts = {key: np.float32(value) for key, value in WEIGHTS.items()}
    (folder / "network.onnx").write_bytes(make(nodes, (1, 2), consts).SerializeToString())
    found = verify(load(folder / "network.onnx"), Query(2, 1, (clause(lower, [1, 1], rows),)), timeout=5)
    return found.verdict, found.reason


SUM = [node("MatMul", "r up", "y")]
NEGATED = [node("MatMul", "r up", "s"), node("Mul", "s minus", "y")]
LIFTED = [node("Gemm", "r up b", "y")]


@pytest.mark.parametrize(
    ("last", "rows", "verdict"),
    (
        (SUM, [([1], 0, True)], Verdict.VERIFIED),  # y < 0
        (SUM, [([1], 0)], Verdict.FALSIFIED),  # y <= 0, at (0, 0)
        (NEGATED, [([-1], 0, True)], Verdict.VERIFIED),  # y > 0
        (NEGATED, [([1], 0, True)], Verdict.FALSIFIED),
        (LIFTED, [([1], 0)], Verdict.VERIFIED),
    ),
)
def test_sums_of_what_is_never_negative(tmp_path, last, rows, verdict):
    assert asked(tmp_path, last, rows, [-1, -1])[0] is verdict


def test_a_difference_may_cross_its_border(tmp_path):
    """y = relu(z) + relu(-z) - z is never negative in real numbers."""
    WEIGHTS_OF_TWO = {"w": [[1.0, -1.0], [0.0, 0.0]], "up": [[1.0], [1.0]], "minus": [[-1.0], [0.0]]}
    nodes = [
        node("MatMul", "x w", "z"), node("Relu", "z", "r"), node("MatMul", "r up", "a"), node("MatMul", "x minus", "n"),
        node("Add", "a n", "y"),
    ]  # fmt: skip
    consts = {key: np.float32(value) for key, value in WEIGHTS_OF_TWO.items()}
    (tmp_path / "network.onnx").write_bytes(make(nodes, (1, 2), consts).SerializeToString())
    query = Query(2, 1, (clause([0.5, -1], [1, 1], [([1], 0, True)]),))
    found = verify(load(tmp_path / "network.onnx"), query, timeout=5)
    assert found.verdict is Verdict.UNKNOWN and "--arithmetic real" in found.reason
    assert verify(load(tmp_path / "network.onnx", arithmetic="real"), query, timeout=5).verdict is Verdict.VERIFIED
