"""Comparisons of inputs with each other and with outputs: what texts mean, and decisions against exact truths."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from glscert.verifier import Clause, Query, Row, Verdict, load, verify
from glscert.verifier.engine.engine import Engine
from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph.extended import extended
from glscert.verifier.spec import read_query
from glscert.verifier.spec.judge import unsafe
from glscert.verifier.spec.relations import narrowed
from glscert.verifier.spec.settle import Settler
from onnx_models import make, node
from random_graphs import GRAPHS

NEAR = 1e-3
DECLARED = "(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)\n"
BOX = "(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (>= X_1 0)) (assert (<= X_1 1))\n"


def above(path, *, dims=(1, 2), ending=()):
    """y = relu(x0 - x1), then the nodes of `ending`."""
    last = "l" if ending else "y"
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b v", last), *ending]
    wide = np.float32([[1, -1], [0, 0]]) if ending else np.float32([[1], [0]])
    consts = {"w": np.float32([[1, -1], [-1, 1]]), "v": wide}
    answer = np.int64 if ending and ending[-1].op_type == "ArgMax" else None
    path.write_bytes(make(nodes, dims, consts, answer=answer).SerializeToString())
    return load(path, arithmetic="real")


def asked(folder, network, text, *, seconds=20.0):
    path = folder / "p.vnnlib"
    path.write_text(DECLARED + BOX + text)
    answer = verify(network, path, timeout=seconds)
    if answer.witness is not None:
        query = read_query(path, 2, 1)
        assert any(unsafe(each, answer.witness.x, answer.witness.y) for each in query.clauses)
    return answer.verdict.word


TRUTHS = {
    "(assert (<= X_0 X_1)) (assert (>= Y_0 0.1))": "unsat",
    "(assert (<= X_0 X_1)) (assert (>= Y_0 0))": "sat",
    "(assert (>= X_0 X_1)) (assert (>= Y_0 0.5))": "sat",
    "(assert (= X_0 X_1)) (assert (>= Y_0 0.001))": "unsat",
    "(assert (= X_0 X_1)) (assert (and (<= Y_0 0) (>= X_0 0.3) (<= X_0 0.4)))": "sat",
    "(assert (= (+ X_0 X_1) 1)) (assert (and (>= Y_0 0.49) (<= Y_0 0.51)))": "sat",
    "(assert (= (+ X_0 X_1) 1.5)) (assert (>= Y_0 0.51))": "unsat",
    "(assert (<= (- X_0 X_1) 0.5)) (assert (>= Y_0 0.5001))": "unsat",
    "(assert (<= (- X_0 X_1) 0.5)) (assert (>= Y_0 0.4999))": "sat",
    "(assert (= (* 3 X_0) X_1)) (assert (and (<= Y_0 0) (>= X_0 0.2)))": "sat",
    "(assert (>= (- X_0 X_1) 1.5))": "unsat",
    "(assert (or (and (<= X_0 X_1) (>= Y_0 0.1)) (and (>= X_0 X_1) (<= Y_0 -0.1))))": "unsat",
    "(assert (>= Y_0 (+ X_0 0.01)))": "unsat",
    "(assert (>= Y_0 X_0))": "sat",  # where x1 is 0
    "(assert (>= (- Y_0 X_1) 0.9))": "sat",
    "(assert (>= (- Y_0 X_1) 1.01))": "unsat",
    "(assert (<= X_0 X_1)) (assert (> Y_0 0))": "unsat",  # exactly at the border
    "(assert (= X_1 0.1)) (assert (<= X_0 X_1)) (assert (>= Y_0 0))": "sat",
    "(assert (= X_1 0.1)) (assert (>= X_0 X_1)) (assert (>= Y_0 0.3))": "sat",
    "(assert (= X_1 0.1)) (assert (<= X_0 X_1)) (assert (>= Y_0 0.01))": "unsat",
    "(assert (= X_1 0.1)) (assert (>= X_0 0.2)) (assert (> (+ Y_0 X_1) (+ X_0 0.11)))": "unsat",
}


@pytest.mark.parametrize("text", TRUTHS)
def test_truths_known_by_hand(tmp_path, text):
    assert asked(tmp_path, above(tmp_path / "m.onnx"), text) == TRUTHS[text]


def test_what_an_input_is_fed_is_not_cut_away(tmp_path):
    """0.1 is fed as a larger number, which x0 may be too."""
    path = tmp_path / "p.vnnlib"
    path.write_text(DECLARED + BOX + "(assert (= X_1 0.1)) (assert (<= X_0 X_1))")
    (found,) = read_query(path, 2, 1).clauses
    assert found.upper[0] == np.float32(0.1) == found.fed[1][0] == found.fed[0][1]


def test_version_2_says_the_same(tmp_path):
    path = tmp_path / "p.vnnlib"
    path.write_text(
        "(vnnlib-version <2.0>) (declare-network f (declare-input X Real [1,2]) (declare-output Y Real [1,1]))"
        "(assert (and (>= X[0,0] 0) (<= X[0,0] 1) (>= X[0,1] 0) (<= X[0,1] 1)))"
        "(assert (<= X[0,0] X[0,1])) (assert (>= Y[0,0] (- X[0,1] 0.5)))"
    )
    (found,) = read_query(path, 2, 1).clauses
    assert found.rows == (
        Row((), Fraction(0), False, ((0, Fraction(1)), (1, Fraction(-1)))),
        Row(((0, Fraction(-1)),), Fraction(-1, 2), False, ((1, Fraction(1)),)),
    )


def test_a_relation_cuts_the_box_and_no_more(tmp_path):
    path = tmp_path / "p.vnnlib"
    path.write_text(DECLARED + BOX + "(assert (<= (+ X_0 (* 3 X_1)) 1))")
    (found,) = read_query(path, 2, 1).clauses
    assert (found.lower.tolist(), found.upper[0]) == ([0, 0], 1)
    assert Fraction(found.upper[1]) > Fraction(1, 3) > Fraction(np.nextafter(found.upper[1], 0))
    assert (found.inner[1] == found.upper).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_point_that_fulfils_the_relations_is_cut_away(seed):
    rng = np.random.default_rng(seed)
    ends = np.zeros(4), np.ones(4)
    rows = tuple(related([], np.float32(rng.normal(size=4)), float(rng.normal() / 2)) for _ in range(3))
    left = narrowed(np.stack([*ends, *ends]), rows)
    points = rng.random((2000, 4))
    fulfil = points[[unsafe(Clause(*ends, ends, rows), point, np.zeros(1)) for point in points]]
    if left is None:
        assert len(fulfil) == 0
    else:
        assert ((left[0] <= fulfil) & (fulfil <= left[1])).all()
        assert (left[0] >= ends[0]).all() and (left[1] <= ends[1]).all()


@pytest.mark.parametrize(
    "ending, text, answer",
    [
        ("Softmax", "(assert (>= (- X_0 X_1) 0.1)) (assert (<= Y_0 Y_1))", "unsat"),
        ("Softmax", "(assert (<= (+ X_0 0.1) X_1)) (assert (>= Y_0 Y_1))", "sat"),
        ("Softmax", "(assert (>= Y_0 X_1))", "refused"),
        ("ArgMax", "(assert (<= (+ X_1 0.1) X_0)) (assert (>= Y_0 1))", "unsat"),
        ("ArgMax", "(assert (>= X_0 X_1)) (assert (<= Y_0 0))", "sat"),
        ("ArgMax", "(assert (>= X_0 Y_0))", "refused"),
    ],
)
def test_behind_an_ending(tmp_path, ending, text, answer):
    """Logits relu(x0 - x1) and its opposite."""
    network = above(tmp_path / "m.onnx", ending=[node(ending, "l", "y", axis=1)])
    names = DECLARED if ending == "ArgMax" else DECLARED + "(declare-const Y_1 Real)"
    (tmp_path / "p.vnnlib").write_text(names + BOX + text)
    if answer == "refused":
        with pytest.raises(UnsupportedError, match=r"X_[01]"):
            verify(network, tmp_path / "p.vnnlib", timeout=2)
    else:
        assert verify(network, tmp_path / "p.vnnlib", timeout=20).verdict.word == answer


def related(factors, inputs, offset):
    """A row from float64 numbers of outputs and inputs."""
    terms, own = (tuple((i, Fraction(float(c))) for i, c in enumerate(each) if c) for each in (factors, inputs))
    return Row(terms, Fraction(offset), False, own)


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_enumeration_of_all_activation_patterns(tmp_path, seed):
    """One row of outputs and inputs and one of inputs, shifted so that both together just hold somewhere, or nowhere;
    of 3 inputs, or of 24, where neurons are split."""
    rng = np.random.default_rng(seed)
    inputs = 24 if seed % 3 == 0 else 3
    w, b, v = (np.float64(np.float32(rng.normal(size=size))) for size in ((5, inputs), 5, (2, 5)))
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "y")]
    consts = {"w": np.float32(w.T), "b": np.float32(b), "v": np.float32(v.T)}
    (tmp_path / "m.onnx").write_bytes(make(nodes, (1, inputs), consts).SerializeToString())
    lower = np.float64(np.float32(rng.uniform(-1, 0, inputs)))
    upper = lower + 0.5
    c, a, e = (np.float64(np.float32(rng.normal(size=size))) for size in (2, inputs, inputs))
    level = least((w, b, v), lower, upper, (c, a), e)
    for gap, verdict in ((NEAR, Verdict.VERIFIED), (-NEAR, Verdict.FALSIFIED)):
        shift = float(np.float32(gap - level))
        rows = related(c, a, shift), related([], e, shift)
        query = Query(inputs, 2, (Clause(lower, upper, (lower, upper), rows),))
        answer = verify(load(tmp_path / "m.onnx"), query, timeout=20)
        assert answer.verdict is verdict, answer
        assert answer.witness is None or unsafe(query.clauses[0], answer.witness.x, answer.witness.y)


def least(layers, lower, upper, mixed, only):
    """min over the box of the larger of c · y + a · x and e · x, over all activation patterns."""
    (w, b, v), (c, a), best = layers, mixed, np.inf
    for signs in product((0, 1), repeat=len(b)):
        active = np.array(signs)
        rows = np.stack([(c @ v) @ (active[:, None] * w) + a, only])
        turn = 1 - 2 * active
        found = linprog(
            [0] * len(lower) + [1],
            np.block([[turn[:, None] * w, np.zeros((len(b), 1))], [rows, -np.ones((2, 1))]]),
            np.concatenate([-turn * b, [-(c @ v) @ (active * b), 0]]),
            bounds=[*zip(lower, upper, strict=True), (None, None)],
        )
        if found.status == 0:
            best = min(best, found.fun)
    return best


def test_planted_points_are_never_refuted(tmp_path):
    """Relations and rows that hold of one random point, as it rounds in float32."""
    network = above(tmp_path / "m.onnx")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        point = np.float32(rng.random(2))
        y = network.runtime.logits(point[None])[0].astype(np.float64)
        rows = []
        for outputs in (0, 1, 1):
            c, a = np.float64(np.float32(rng.normal(size=outputs))), np.float64(np.float32(rng.normal(size=2)))
            rows.append(related(c, a, -float(c @ y[:outputs] + a @ point) - 1e-7))
        ends = np.zeros(2), np.ones(2)
        query = Query(2, 1, (Clause(*ends, ends, tuple(rows)),))
        assert verify(network, query, timeout=0.3).verdict is not Verdict.VERIFIED, seed


def test_an_extended_graph_goes_on_with_inputs():
    rng = np.random.default_rng(0)
    engine = Engine(*GRAPHS["conv_chain"](rng))
    x = rng.random((3, engine.inputs))
    for entries in ([1], [0, 5, 3], list(range(engine.inputs))):
        wide = engine.extended(extended(engine.graph, entries))
        expected = np.concatenate([engine.evaluate(x), x[:, entries]], 1)
        assert wide.graph.output_shape == (expected.shape[1],)
        np.testing.assert_array_equal(wide.evaluate(x), expected)


SETTLED = {
    "less": [([1, -1, 0], 0)],
    "a chain": [([1, -1, 0], 0), ([0, 1, -1], 0)],
    "an equality": [([1, -1, 0], 0), ([-1, 1, 0], 0)],
    "a sum": [([1, 1, 1], -1), ([-1, -1, -1], 1)],
    "a multiple": [([3, 0, -1], 0), ([-3, 0, 1], 0)],
    "decimals": [([0.1, 0.7, -0.3], -0.05)],
}


@pytest.mark.parametrize("name", SETTLED)
def test_settled_points_fulfil_the_relations_exactly(name):
    rows = [related([], factors, offset) for factors, offset in SETTLED[name]]
    lower, upper = np.zeros(3, np.float32), np.ones(3, np.float32)
    points = np.random.default_rng(0).random((200, 3), np.float32)
    moved = Settler(rows, lower, upper)(points)
    assert moved.dtype == np.float32
    clause = Clause(lower, upper, (lower, upper), tuple(rows))
    fulfilled = [unsafe(clause, point, np.zeros(1)) for point in moved]
    assert np.mean(fulfilled) > 0.95
    kept = [unsafe(clause, point, np.zeros(1)) for point in points]
    assert np.array_equal(moved[kept], points[kept])
