"""Decisions on tiny ReLU networks against the truth: every activation pattern, each an exact linear program."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from clauses import clause
from glscert.verifier import Verdict, load, verify
from glscert.verifier.errors import InputError
from glscert.verifier.spec import Query
from onnx_models import make, node

NEAR = 1e-4  # a truth closer to the border than this is not asked for


def relu_network(path, layers):
    """layers: (weight [out, in], bias [out]); ReLU between them."""
    nodes, consts, value = [], {}, "x"
    for place, (weight, bias) in enumerate(layers):
        consts |= {f"w{place}": np.float32(weight.T), f"b{place}": np.float32(bias)}
        last = place == len(layers) - 1
        nodes += [
            node("MatMul", f"{value} w{place}", f"m{place}"),
            node("Add", f"m{place} b{place}", "y" if last else f"a{place}"),
        ]
        if not last:
            nodes.append(node("Relu", f"a{place}", f"r{place}"))
            value = f"r{place}"
    path.write_bytes(make(nodes, ("batch", layers[0][0].shape[1]), consts).SerializeToString())
    return load(path)


def least(layers, lower, upper, rows):
    """min over the box of the largest row, over all activation patterns."""
    sizes = [len(bias) for _, bias in layers[:-1]]
    best = np.inf
    for signs in product((0, 1), repeat=sum(sizes)):
        slope, offset = np.eye(len(lower)), np.zeros(len(lower))
        constraints, limits = [], []
        used = 0
        for place, (weight, bias) in enumerate(layers):
            slope, offset = weight @ slope, weight @ offset + bias
            if place < len(sizes):
                active = np.array(signs[used : used + sizes[place]])
                used += sizes[place]
                turn = 1 - 2 * active
                constraints.append(turn[:, None] * slope)
                limits.append(-turn * offset)
                slope, offset = active[:, None] * slope, active * offset
        goal = np.array([factors for factors, _ in rows], float) @ slope
        level = np.array([factors for factors, _ in rows], float) @ offset + np.array([d for _, d in rows], float)
        matrix = np.block(
            [[np.vstack(constraints), np.zeros((sum(sizes), 1))], [goal, -np.ones((len(rows), 1))]]
        )  # fmt: skip
        found = linprog(
            [0] * len(lower) + [1], matrix, np.concatenate([*limits, -level]),
            bounds=[*zip(lower, upper, strict=True), (None, None)], method="highs",
        )  # fmt: skip
        if found.status == 0:
            best = min(best, found.fun)
    return best


def random_layers(rng, inputs, hidden, outputs):
    sizes = [inputs, *hidden, outputs]
    return [
        (np.float64(np.float32(rng.normal(size=(b, a)))), np.float64(np.float32(0.3 * rng.normal(size=b))))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]


def test_equals_the_enumeration_of_all_activation_patterns(tmp_path, network_seed):
    compare_with_enumeration(tmp_path, network_seed)


@pytest.mark.parametrize("seed", [46, 67, 143])
def test_an_edge_between_linear_pieces_takes_no_end_of_boxes(tmp_path, seed):
    """Three ten-thousandths below the least value, where input splitting is not done after a million boxes."""
    compare_with_enumeration(tmp_path, seed)


def compare_with_enumeration(tmp_path, seed):
    rng = np.random.default_rng(seed)
    inputs, outputs = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    layers = random_layers(rng, inputs, [(6,), (3, 3), (4, 2)][seed % 3], outputs)
    network = relu_network(tmp_path / "net.onnx", layers)
    lower = np.float64(np.float32(rng.uniform(-1, 0, inputs)))
    upper = lower + np.float64(np.float32(rng.uniform(0.2, 2, inputs)))
    for count in (1, 1, 2):
        factors = np.float64(np.float32(rng.normal(size=(count, outputs))))
        level = least(layers, lower, upper, [(f, 0.0) for f in factors])
        for gap in (3 * NEAR, -3 * NEAR, 0.5, -0.5):  # the least value of the largest row, by shifting all of them
            shift = np.float64(np.float32(gap - level))
            if abs(level + shift) < NEAR:
                continue
            query = Query(inputs, outputs, (clause(lower, upper, [(f, shift) for f in factors]),))
            answer = verify(network, query, timeout=20)
            assert answer.verdict is (Verdict.VERIFIED if gap > 0 else Verdict.FALSIFIED), (gap, answer)
            if answer.witness is not None:
                assert (lower <= answer.witness.x).all() and (answer.witness.x <= upper).all()
                assert (factors @ np.float64(answer.witness.y) + shift).max() <= 1e-12


def test_a_query_for_another_network_is_refused(tmp_path):
    network = relu_network(tmp_path / "net.onnx", random_layers(np.random.default_rng(0), 2, (3,), 2))
    with pytest.raises(InputError, match="3 inputs and 2 outputs, the network 2 and 2"):
        verify(network, Query(3, 2, ()))


@pytest.fixture
def distance(tmp_path):
    """y = (|x0 - x1|, x0)."""
    layers = [
        (np.array([[1.0, -1], [-1, 1], [1, 0], [-1, 0]]), np.zeros(4)),
        (np.array([[1.0, 1, 0, 0], [0, 0, 1, -1]]), np.zeros(2)),
    ]
    return relu_network(tmp_path / "net.onnx", layers)


def asked(network, *clauses):
    return verify(network, Query(2, 2, clauses), timeout=2).verdict


def test_equality_is_unsafe_unless_strict(distance):
    box = [0, 0], [1, 1]
    at_most = [-1, 0], 1  # 1 - |x0 - x1| <= 0, an equality at two corners
    assert asked(distance, clause(*box, [at_most])) is Verdict.FALSIFIED
    assert asked(distance, clause(*box, [(*at_most, True)])) is not Verdict.FALSIFIED
    assert asked(distance, clause(*box, [([-1, 0], 1.01)])) is Verdict.VERIFIED


def test_rows_that_only_together_cannot_hold(distance):
    corner = [([0, 1], -0.25), ([0, -1], 0.75)]  # x0 <= 1/4 and x0 >= 3/4
    assert asked(distance, clause([0, 0], [1, 1], corner)) is Verdict.VERIFIED
    assert asked(distance, clause([0, 0], [1, 1], [([0, 1], -0.75), ([0, -1], 0.25)])) is Verdict.FALSIFIED


def test_one_clause_of_many_decides(distance):
    safe = [clause([0, 0], [k / 50, k / 50], [([-1, 0], 1.5)]) for k in range(1, 40)]
    assert asked(distance, *safe) is Verdict.VERIFIED
    assert asked(distance, *safe, clause([0, 0], [1, 1], [([-1, 0], 0.9)])) is Verdict.FALSIFIED


def test_boxes_without_a_point_hold_nothing(distance):
    assert asked(distance) is Verdict.VERIFIED
    assert asked(distance, clause([1, 0], [0, 1], [([0, 0], -1)])) is Verdict.VERIFIED


def test_a_clause_without_rows_is_any_input(distance):
    assert asked(distance, clause([0, 0], [1, 1], [])) is Verdict.FALSIFIED


@pytest.mark.parametrize("x0", [0.5, 0.1])  # 0.1 is no float32, the nearest stands for it
def test_a_box_without_width(distance, x0):
    always = clause([x0, 0.5], [x0, 0.5], [([0, 1], -1)])  # x0 <= 1
    never = clause([x0, 0.5], [x0, 0.5], [([0, -1], 1)])
    assert asked(distance, never) is Verdict.VERIFIED
    assert asked(distance, always) is Verdict.FALSIFIED


def test_bounds_that_overflow_prove_nothing(tmp_path):
    """y = 1e60 relu(x) - 1e60 relu(x) + relu(x): x in exact numbers, no number in float32."""
    layers = [
        (np.array([[1e30], [1e30], [1.0]]), np.zeros(3)),
        (np.array([[1e30, -1e30, 1.0]]), np.zeros(1)),
    ]
    network = relu_network(tmp_path / "net.onnx", layers)
    for low in (0.0, -1.0):
        query = Query(1, 1, (clause([low], [1.0], [([-1.0], 0.5)]),))
        assert verify(network, query, timeout=10).verdict is Verdict.UNKNOWN


def test_no_time_is_a_timeout(distance):
    hard = clause([0, 0], [1, 1], [([-1, 0], 1, True)])
    assert verify(distance, Query(2, 2, (hard,)), timeout=0).verdict is Verdict.TIMEOUT


@pytest.mark.parametrize("seed", range(6))
def test_planted_counterexamples_are_never_certified(tmp_path, seed):
    """A random point of the box, its own outputs as the threshold: also where nothing but that point is unsafe."""
    rng = np.random.default_rng(100 + seed)
    layers = random_layers(rng, 24, (12, 8), 3)
    network = relu_network(tmp_path / "net.onnx", layers)
    lower = np.float64(np.float32(rng.uniform(-1, 0, 24)))
    upper = lower + 0.25
    point = np.float32(rng.uniform(lower, upper))
    y = np.float64(network.runtime.logits(point[None])[0])
    factors = np.float64(np.float32(rng.normal(size=(2, 3))))
    planted = clause(lower, upper, [(f, -(f @ y) - 1e-7) for f in factors])
    assert verify(network, Query(24, 3, (planted,)), timeout=2).verdict is not Verdict.VERIFIED
