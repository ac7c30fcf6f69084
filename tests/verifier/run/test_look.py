"""What a first look finds is a witness, exactly; where there is none it finds none."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier import Verdict, load
from glscert.verifier.run.look import look
from glscert.verifier.run.question import Case, Question
from glscert.verifier.run.run import Run
from glscert.verifier.search.clauses import grouped
from glscert.verifier.settings import Effort
from glscert.verifier.spec import Clause, Row
from glscert.verifier.spec.interval import Interval
from glscert.verifier.spec.judge import unsafe
from onnx_models import make, node

BOX = (np.zeros(2), np.ones(2))


@pytest.fixture(params=[("batch", 2), (1, 2), (2,)], ids=str)
def network(request, tmp_path):
    """y = |x0 - x1| of two inputs."""
    consts = {"w1": np.float32([[1, -1], [-1, 1]]), "w2": np.float32([[1], [1]])}
    nodes = [node("MatMul", "x w1", "a"), node("Relu", "a", "b"), node("MatMul", "b w2", "y")]
    (tmp_path / "model.onnx").write_bytes(make(nodes, request.param, consts).SerializeToString())
    return load(tmp_path / "model.onnx")


def clause(box, *rows):
    """rows: (factor of y, offset, strict)."""
    lower, upper = box
    return Clause(lower, upper, (lower, upper), listed(*rows))


def listed(*rows):
    return tuple(Row(((0, Fraction(c)),), Fraction(offset), strict) for c, offset, strict in rows)


def decimals(*rows):
    """The inputs are 0.1 and 0.2, which are no float32 numbers, nor float64."""
    above = np.array([0.1, 0.2])
    around = np.nextafter(above, 0), above
    exact = {place: Interval(number, number) for place, number in enumerate((Fraction(1, 10), Fraction(1, 5)))}
    return Clause(*around, around[::-1], listed(*rows), exact)


def looked(network, *clauses, seconds=20):
    """What a first look says, if anything."""
    case = Case(Question(0, grouped(clauses, 1, None, Effort.memory), seconds))
    run = Run(network, [case], Effort(), lambda message: None)
    return next((answer for _, answer in look(run)), None)


FOUND = {
    "at a corner": [clause(BOX, (-1, 1, False))],  # y >= 1
    "in between": [clause(BOX, (-1, "0.39", False), (1, "-0.41", False))],
    "in the second clause": [clause(BOX, (-1, 3, False)), clause(BOX, (1, "-0.5", True))],
    "in the second box": [clause(BOX, (-1, 3, False)), clause((np.full(2, 5.0), np.full(2, 7.0)), (-1, 2, False))],
    "anywhere": [clause(BOX)],
    "at the nearest of a decimal": [decimals((1, "-0.2", False))],
    "on a single point": [clause((np.array([0.5, 1.0]),) * 2, (1, "-0.5", False), (-1, "0.5", False))],
}


@pytest.mark.parametrize("name", FOUND)
def test_witnesses(network, name):
    answer = looked(network, *FOUND[name])
    assert answer.verdict is Verdict.FALSIFIED and answer.reason == "random points"
    x, y, _ = answer.witness
    assert x.dtype == y.dtype == np.float32
    assert any(unsafe(each, x, y) for each in FOUND[name])
    assert np.array_equal(network.runtime.logits(x.reshape(1, 2))[0], y)


NONE = {
    "nothing is unsafe": [],
    "out of reach": [clause(BOX, (-1, "1.0000001", False))],
    "only strictly out of reach": [clause(BOX, (-1, 1, True))],
    "nothing is fed": [clause((np.full(2, 5.0), np.full(2, 5.0 - 1e-9)))],
    "only at the nearest of decimals": [decimals((-1, "0.1", True))],  # 0.2 - 0.1 > 0.1, of float32 numbers
}


@pytest.mark.parametrize("name", NONE)
def test_none(network, name):
    assert looked(network, *NONE[name]) is None


def test_no_time_is_a_timeout(network):
    assert looked(network, clause(BOX, (-1, 3, False)), seconds=-1).verdict is Verdict.TIMEOUT


def test_a_batch_of_one_behind_a_symbolic_one(tmp_path):
    """The file reshapes to [1, 2], so that two points at once would fail or be mixed."""
    consts = {"shape": np.array([1, 2]), "w": np.float32([[1], [1]])}
    nodes = [node("Reshape", "x shape", "r"), node("MatMul", "r w", "y")]
    (tmp_path / "model.onnx").write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    wanted = clause(BOX, (-1, "1.5", False))
    witness = looked(load(tmp_path / "model.onnx"), wanted).witness
    assert unsafe(wanted, witness.x, witness.y)
    assert witness.y[0] == np.float32(witness.x.sum())
