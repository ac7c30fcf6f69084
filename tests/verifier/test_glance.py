"""What a first look finds is a witness, exactly; where there is none it finds none."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier.glance import glance
from glscert.verifier.network import load
from glscert.verifier.spec import Clause, Query, Row
from glscert.verifier.spec.judge import unsafe
from onnx_models import make, node

BOX = (np.zeros(2), np.ones(2))


@pytest.fixture(params=[("batch", 2), (1, 2), (2,)], ids=str)
def runtime(request, tmp_path):
    """y = |x0 - x1| of two inputs."""
    consts = {"w1": np.float32([[1, -1], [-1, 1]]), "w2": np.float32([[1], [1]])}
    nodes = [node("MatMul", "x w1", "a"), node("Relu", "a", "b"), node("MatMul", "b w2", "y")]
    (tmp_path / "model.onnx").write_bytes(make(nodes, request.param, consts).SerializeToString())
    return load(tmp_path / "model.onnx").runtime


def clause(box, *rows):
    """rows: (factor of y, offset, strict)."""
    lower, upper = box
    listed = tuple(Row(((0, Fraction(c)),), Fraction(offset), strict) for c, offset, strict in rows)
    return Clause(lower, upper, (lower, upper), listed)


def look(runtime, *clauses, seconds=0.2):
    return glance(runtime, (2,), Query(2, 1, clauses), seed=0, seconds=seconds)


FOUND = {
    "at a corner": [clause(BOX, (-1, 1, False))],  # y >= 1
    "in between": [clause(BOX, (-1, "0.39", False), (1, "-0.41", False))],
    "in the second clause": [clause(BOX, (-1, 3, False)), clause(BOX, (1, "-0.5", True))],
    "in the second box": [clause(BOX, (-1, 3, False)), clause((np.full(2, 5.0), np.full(2, 7.0)), (-1, 2, False))],
    "anywhere": [clause(BOX)],
    "on a single point": [clause((np.array([0.5, 1.0]),) * 2, (1, "-0.5", False), (-1, "0.5", False))],
}


@pytest.mark.parametrize("name", FOUND)
def test_witnesses(runtime, name):
    witness = look(runtime, *FOUND[name], seconds=5)
    assert witness is not None
    assert witness.x.dtype == witness.y.dtype == np.float32
    assert any(unsafe(each, witness.x, witness.y) for each in FOUND[name])
    assert np.array_equal(runtime.logits(witness.x.reshape(1, 2))[0], witness.y)


NONE = {
    "nothing is unsafe": [],
    "out of reach": [clause(BOX, (-1, "1.0000001", False))],
    "only strictly out of reach": [clause(BOX, (-1, 1, True))],
    "no float32 in the box": [clause((np.full(2, 0.1), np.full(2, 0.1)))],
}


@pytest.mark.parametrize("name", NONE)
def test_none(runtime, name):
    assert look(runtime, *NONE[name], seconds=0.05) is None


def test_no_time_is_no_answer(runtime):
    assert look(runtime, clause(BOX), seconds=0) is None


def test_a_batch_of_one_behind_a_symbolic_one(tmp_path):
    """The file reshapes to [1, 2], so that two points at once would fail or be mixed."""
    consts = {"shape": np.array([1, 2]), "w": np.float32([[1], [1]])}
    nodes = [node("Reshape", "x shape", "r"), node("MatMul", "r w", "y")]
    (tmp_path / "model.onnx").write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    wanted = clause(BOX, (-1, "1.5", False))
    witness = look(load(tmp_path / "model.onnx").runtime, wanted, seconds=5)
    assert witness is not None and unsafe(wanted, witness.x, witness.y)
    assert witness.y[0] == np.float32(witness.x.sum())
