"""Properties whose bound is the border itself, decided in exact arithmetic: unsat where strict, never where not."""

from fractions import Fraction

import numpy as np
import pytest

from clauses import clause
from glscert.verifier import Verdict, load, verify
from glscert.verifier.exact.border import Border
from glscert.verifier.search.clauses import grouped
from glscert.verifier.spec import Clause, Query, Row
from glscert.verifier.spec.interval import Interval
from onnx_models import make, node


def saved(path, nodes, inputs, consts):
    consts = {name: np.float32(value) for name, value in consts.items()}
    path.write_bytes(make(nodes, ("batch", inputs), consts).SerializeToString())
    return load(path, arithmetic="real")


def asked(network, *clauses):
    inputs, outputs = network.graph.input_shape[0], network.graph.output_shape[0]
    return verify(network, Query(inputs, outputs, clauses), timeout=10)


@pytest.fixture
def tent(tmp_path):
    """y = |x0| - relu(x1)."""
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    return saved(tmp_path / "m.onnx", nodes, 2, {"w": [[1, -1, 0], [0, 0, 1]], "v": [[1], [1], [-1]]})


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([([1], 0.6)], Verdict.VERIFIED),
        ([([-1], 0)], Verdict.FALSIFIED),
        ([([-1], 0.5)], Verdict.FALSIFIED),  # at x0 = 1 and -1 alone
        ([([-1], 0.5, True)], Verdict.VERIFIED),  # 0.5 is the greatest value
        ([([1], 0.5)], Verdict.FALSIFIED),  # at x0 = 0 alone
        ([([1], 0.5, True)], Verdict.VERIFIED),
        ([([1], -0.25), ([-1], 0.25)], Verdict.FALSIFIED),  # y = 0.25 at x0 = 0.75 and -0.75 alone
    ],
)
def test_exact_zeros_of_a_tiny_network(tent, rows, verdict):
    found = asked(tent, clause([-1, 0.5], [1, 0.5], rows))
    assert found.verdict is verdict, found
    assert found.seconds < 5


def test_a_negated_relu_is_never_positive(tmp_path):
    """y = -relu(z), z of a random network and 0 at x = 0.3."""
    rng = np.random.default_rng(0)
    consts = {"w1": rng.normal(size=(1, 6)), "b1": rng.normal(size=6), "w2": rng.normal(size=(6, 6)),
              "b2": rng.normal(size=6), "w3": rng.normal(size=(6, 1)), "minus": [-1]}  # fmt: skip
    hidden = np.maximum(0.3 * consts["w1"] + consts["b1"], 0)
    consts["b3"] = -(np.maximum(hidden @ consts["w2"] + consts["b2"], 0) @ consts["w3"])[0]
    nodes = [
        node("MatMul", "x w1", "m1"), node("Add", "m1 b1", "a1"), node("Relu", "a1", "r1"),
        node("MatMul", "r1 w2", "m2"), node("Add", "m2 b2", "a2"), node("Relu", "a2", "r2"),
        node("MatMul", "r2 w3", "m3"), node("Add", "m3 b3", "a3"), node("Relu", "a3", "r3"),
        node("Mul", "r3 minus", "y"),
    ]  # fmt: skip
    network = saved(tmp_path / "m.onnx", nodes, 1, consts)
    assert asked(network, clause([-1], [1], [([-1], 0, True)])).verdict is Verdict.VERIFIED
    assert asked(network, clause([-1], [1], [([-1], 0)])).verdict is not Verdict.VERIFIED


def two_copies(path, seed):
    """y = f(x0 + x1, x2) - f(x0, x2), f rising in its first input."""
    rng = np.random.default_rng(seed)
    w1 = rng.normal(size=(2, 8))
    w1[0] = np.abs(w1[0])
    consts = {
        "p": [[1, 0], [0, 0], [0, 1]], "q": [[1, 0], [1, 0], [0, 1]], "w1": w1, "b1": rng.normal(size=8),
        "w2": np.abs(rng.normal(size=(8, 5))), "b2": rng.normal(size=5), "w3": np.abs(rng.normal(size=(5, 1))),
    }  # fmt: skip
    nodes = []
    for copy, start in (("l", "p"), ("h", "q")):
        nodes += [
            node("MatMul", f"x {start}", f"i{copy}"), node("MatMul", f"i{copy} w1", f"m{copy}"),
            node("Add", f"m{copy} b1", f"a{copy}"), node("Relu", f"a{copy}", f"r{copy}"),
            node("MatMul", f"r{copy} w2", f"n{copy}"), node("Add", f"n{copy} b2", f"c{copy}"),
            node("Relu", f"c{copy}", f"s{copy}"), node("MatMul", f"s{copy} w3", f"o{copy}"),
        ]  # fmt: skip
    return saved(path, [*nodes, node("Sub", "oh ol", "y")], 3, consts)


@pytest.mark.parametrize("seed", range(3))
def test_a_monotone_network_never_falls(tmp_path, seed):
    network = two_copies(tmp_path / "m.onnx", seed)
    box = [-1, 0, -1], [1, 1, 1]
    assert asked(network, clause(*box, [([1], 0, True)])).verdict is Verdict.VERIFIED
    assert asked(network, clause(*box, [([1], 0)])).verdict is Verdict.FALSIFIED  # at x1 = 0
    falls = [-1, -0.5, -1], [1, 1, 1]
    assert asked(network, clause(*falls, [([1], 0, True)])).verdict is Verdict.FALSIFIED


def test_a_clipped_output_stays_between_its_ends(tmp_path):
    rng = np.random.default_rng(1)
    consts = {"w": rng.normal(size=(30, 40)), "v": rng.normal(size=(40, 3)), "low": 0, "high": 1}
    nodes = [
        node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "z"), node("Clip", "z low high", "y")
    ]  # fmt: skip
    network = saved(tmp_path / "m.onnx", nodes, 30, consts)
    box = [-1] * 30, [1] * 30
    above, below = [([0, -1, 0], 1, True)], [([0, 1, 0], 0, True)]
    assert asked(network, clause(*box, above), clause(*box, below)).verdict is Verdict.VERIFIED
    assert asked(network, clause(*box, [([0, -1, 0], 1)])).verdict is Verdict.FALSIFIED


def test_a_sigmoid_never_leaves_its_ends(tmp_path):
    rng = np.random.default_rng(2)
    nodes = [node("MatMul", "x w", "z"), node("Sigmoid", "z", "s"), node("MatMul", "s v", "y")]
    network = saved(tmp_path / "m.onnx", nodes, 2, {"w": 20 * rng.normal(size=(2, 3)), "v": [[0.5], [0.25], [0.25]]})
    assert asked(network, clause([-9, -9], [9, 9], [([-1], 1, True)])).verdict is Verdict.VERIFIED


def test_decimal_ends_are_exact(tmp_path):
    """y = x on [-0.1, 0.1]: float64 has a greater number than 0.1 that rounds to it."""
    network = saved(tmp_path / "m.onnx", [node("MatMul", "x w", "h"), node("Relu", "h", "y")], 1, {"w": [[1]]})
    tenth = Fraction(1, 10)
    ends = np.array([np.nextafter(-0.1, -1)]), np.array([0.1])
    inner = np.array([-0.09]), np.array([np.nextafter(0.1, 0)])
    row = Row(((0, Fraction(-1)),), tenth, strict=True)
    exact = Clause(*ends, inner, (row,), {0: Interval(-tenth, tenth)})
    assert asked(network, exact).verdict is Verdict.VERIFIED
    assert asked(network, Clause(*ends, inner, (row,))).verdict is not Verdict.VERIFIED  # up to float64's own 0.1


def planted(path, seed):
    """Sums of |w · (x - p)|, less a linear part that leaves the least value at exactly 0, which it is at p."""
    rng = np.random.default_rng(seed)
    inputs, terms = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    w, p, c = rng.integers(-3, 4, (terms, inputs)), rng.integers(-3, 4, inputs) / 4, rng.integers(1, 4, terms)
    bias, tilt = -(w @ p), rng.integers(0, 2, terms) * c  # of c (2 relu(z) + relu(-z)), whose slopes are -c and 2c
    consts = {
        "w1": np.vstack([w, -w]).T, "b1": np.concatenate([bias, -bias]),
        "w2": np.hstack([np.diag(2 * c), np.diag(c)]).T, "w3": np.ones((terms, 1)),
        "wl": (tilt @ w)[:, None], "bl": [tilt @ bias],
    }  # fmt: skip
    nodes = [
        node("MatMul", "x w1", "m1"), node("Add", "m1 b1", "a1"), node("Relu", "a1", "r1"),
        node("MatMul", "r1 w2", "m2"), node("Relu", "m2", "r2"), node("MatMul", "r2 w3", "m3"),
        node("MatMul", "x wl", "l1"), node("Add", "l1 bl", "l2"), node("Sub", "m3 l2", "y"),
    ]  # fmt: skip
    return saved(path, nodes, inputs, consts)


def border_of(network, *clauses):
    groups = grouped(clauses, network.graph.output_shape[0], None, 2**28)
    return Border(network.engine, groups), groups


@pytest.mark.parametrize("seed", range(12))
def test_a_planted_least_value_of_zero(tmp_path, seed):
    network = planted(tmp_path / "m.onnx", seed)
    (inputs,) = network.graph.input_shape
    box = [-1] * inputs, [1] * inputs
    tiny = 2.0**-60
    cases = [([1], 0, True), ([1], 0), ([1], -tiny, True), ([1], tiny), ([1], tiny, True)]
    border, groups = border_of(network, clause(*box, cases[:1]), *(clause(*box, [each]) for each in cases[1:]))
    assert [border.refutes(0, number) for number in range(5)] == [True, False, False, True, True]
    border.close(0)
    assert groups[0].alive.tolist() == [False, True, True, True, False]  # the fourth is not strict: left to the search
    assert asked(network, clause(*box, cases[:1])).verdict is not Verdict.UNKNOWN
    assert asked(network, clause(*box, cases[1:2])).verdict is not Verdict.VERIFIED


def test_most_points_where_kinks_meet_are_found(tmp_path):
    """The only points at zero: found where the optimum of a linear program, or a corner, is a float32 number."""
    found = 0
    for seed in range(12):
        network = planted(tmp_path / f"{seed}.onnx", seed)
        (inputs,) = network.graph.input_shape
        found += asked(network, clause([-1] * inputs, [1] * inputs, [([1], 0)])).verdict is Verdict.FALSIFIED
    assert found >= 11


@pytest.mark.parametrize("seed", range(6))
def test_where_every_relu_has_its_sign(tmp_path, seed):
    """All kinks meet in the point where the least value is taken, so that it belongs to every part."""
    network = planted(tmp_path / "m.onnx", seed)
    (inputs,) = network.graph.input_shape
    box = [-1] * inputs, [1] * inputs
    border, _ = border_of(network, *(clause(*box, [([1], 0, strict)]) for strict in (True, False)))
    for x in np.random.default_rng(seed).uniform(-1, 1, (4, 1, inputs)):
        values = network.engine.values(x)
        signs = {
            name: np.where(values[bend.into][0] >= 0, 1, -1).tolist() for name, bend in network.engine.bends.items()
        }
        assert border.refutes_split(0, 0, signs)
        assert not border.refutes_split(0, 1, signs)


def test_parts_of_a_box(tent):
    """|x0| - 0.25 on either side of its kink, where the part's bound is exact."""
    border, _ = border_of(tent, *(clause([-1, 0.25], [1, 0.25], [([1], 0.25, strict)]) for strict in (True, False)))
    for ends in ((-1, 0), (0, 1)):
        part = [np.array([end, 0.25]) for end in ends]
        assert border.refutes_part(0, 0, *part)
        assert not border.refutes_part(0, 1, *part)
    away = [np.array([end, 0.25]) for end in (2.0**-60, 1)]
    assert border.refutes_part(0, 1, *away)


def test_rows_that_only_together_are_refuted(tent):
    """y < 0.1 and y >= 0.1 at once: the rows add up to 0."""
    box = [-1, 0.5], [1, 0.5]
    contradictory = clause(*box, [([1], -0.1, True), ([-1], 0.1)])
    border, _ = border_of(tent, contradictory, clause(*box, [([1], -0.1), ([-1], 0.1)]))
    assert border.refutes(0, 0) and not border.refutes(0, 1)
    assert asked(tent, contradictory).verdict is Verdict.VERIFIED


def test_a_clause_without_rows_is_left_alone(tent):
    """Any input makes it unsafe."""
    border, _ = border_of(tent, clause([-1, 0.5], [1, 0.5], []))
    assert not border.strict(0, 0)
    assert not border.refutes(0, 0)
    assert not border.refutes_split(0, 0, {})
    assert border.kink(0, 0) is None
