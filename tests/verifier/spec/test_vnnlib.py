"""VNN-LIB 1: what small texts mean, and that clauses say what the formula says."""

import csv
import gzip
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glscert.verifier.errors import InputError
from glscert.verifier.spec import Row, read_query

BOX = "(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (>= X_1 -1)) (assert (<= X_1 2))"


def declarations(inputs=2, outputs=2):
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{j}" for j in range(outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


@pytest.fixture
def read(tmp_path):
    def parse(text, inputs=2, outputs=2):
        path = tmp_path / "property.vnnlib"
        path.write_text(text)
        return read_query(path, inputs, outputs)

    return parse


def row(offset, *terms, strict=False):
    return Row(tuple((index, Fraction(factor)) for index, factor in terms), Fraction(offset), strict)


LESS = row(0, (0, -1), (1, 1))  # y1 <= y0

OUTPUTS = {
    "(assert (>= Y_0 Y_1))": [[LESS]],
    "(assert (<= Y_1 Y_0))": [[LESS]],
    "(assert (< Y_1 Y_0))": [[row(0, (0, -1), (1, 1), strict=True)]],
    "(assert (> Y_0 0.5))": [[row("0.5", (0, -1), strict=True)]],
    "(assert (<= Y_0 1e-05))": [[row("-0.00001", (0, 1))]],
    "(assert (<= Y_0 -3.99))": [[row("3.99", (0, 1))]],
    "(assert (<= Y_0 0.1000000000000000055511151231257827))": [[row("-0.1000000000000000055511151231257827", (0, 1))]],
    "(assert (<= 2. Y_0))": [[row(2, (0, -1))]],
    "(assert (= Y_0 3))": [[row(-3, (0, 1)), row(3, (0, -1))]],
    "(assert (<= Y_0\n   ; here ) (\n Y_0))": [[]],
    "(assert (<= (+ Y_0 (* 2 Y_1) -1) (- Y_1)))": [[row(-1, (0, 1), (1, 3))]],
    "(assert (<= (- Y_0 Y_1 (* Y_1 0.5 2)) (/ 1 3)))": [[row(Fraction(-1, 3), (0, 1), (1, -2))]],
    "(assert (or (and (>= Y_0 Y_1)) (<= Y_0 1)))": [[LESS], [row(-1, (0, 1))]],
    "(assert (or (<= Y_0 1) (<= Y_1 1))) (assert (>= Y_0 Y_1))": [
        [LESS, row(-1, (0, 1))],
        [LESS, row(-1, (1, 1))],
    ],
    "(assert (and (or (<= Y_0 1) (<= Y_1 1)) (or (<= Y_0 2) (<= Y_1 2))))": [
        [row(-1, (0, 1)), row(-2, (0, 1))],
        [row(-1, (0, 1)), row(-2, (1, 1))],
        [row(-1, (1, 1)), row(-2, (0, 1))],
        [row(-1, (1, 1)), row(-2, (1, 1))],
    ],
    "(assert (<= 2 1))": [],
    "(assert (or (<= 2 1) (>= Y_0 Y_1) (< 1 1)))": [[LESS]],
    "(set-logic QF_LRA) (assert (>= Y_0 Y_1)) (check-sat) (exit)": [[LESS]],
}


@pytest.mark.parametrize("text", OUTPUTS)
def test_outputs(read, text):
    query = read(declarations() + BOX + text)
    assert sorted(sorted(clause.rows) for clause in query.clauses) == sorted(map(sorted, OUTPUTS[text]))
    for clause in query.clauses:
        assert (clause.lower.tolist(), clause.upper.tolist()) == ([0, -1], [1, 2])
        assert (clause.inner[0].tolist(), clause.inner[1].tolist()) == ([0, -1], [1, 2])


BOXES = {
    BOX: [([0, -1], [1, 2])],
    "(assert (and (<= 0 X_0 ) (>= 1 X_0) (<= (* -2 X_1) 2)(<= X_1 2)))": [([0, -1], [1, 2])],
    "(assert (<= X_0 5)) (assert (>= X_0 -3)) (assert (= X_1 2))" + BOX: [([0, 2], [1, 2])],
    BOX + "(assert (or (<= X_0 0.25) (and (>= X_0 0.5) (>= X_1 1))))": [([0, -1], [0.25, 2]), ([0.5, 1], [1, 2])],
    BOX + "(assert (or (<= X_0 -1) (>= X_1 0)))": [([0, 0], [1, 2])],  # the first holds for no input
    BOX + "(assert (or (< X_0 0) (>= X_1 0)))": [([0, 0], [1, 2])],
    "(assert (or (and (= X_0 0) (= X_1 1)) (and (= X_1 0) (= X_0 1))))": [([0, 1], [0, 1]), ([1, 0], [1, 0])],
}


@pytest.mark.parametrize("text", BOXES)
def test_boxes(read, text):
    query = read(declarations() + text)
    assert [(clause.lower.tolist(), clause.upper.tolist()) for clause in query.clauses] == BOXES[text]
    assert all(clause.rows == () for clause in query.clauses)


@pytest.mark.parametrize(
    "end", ["0.1", "-0.1", "1e-400", "0.30000001192092896", "16777217.0000000001", "-1e-310", "0.5"]
)
def test_ends_are_rounded_to_both_sides(read, end):
    query = read(f"{declarations(1, 1)} (assert (= X_0 {end}))", 1, 1)
    (clause,) = query.clauses
    (lower,), (upper,), ((inner_lower,), (inner_upper,)) = clause.lower, clause.upper, clause.inner
    exact = Fraction(end)
    assert Fraction(lower) <= exact <= Fraction(upper)
    assert (inner_lower, inner_upper) == (upper, lower)
    assert upper == (lower if Fraction(lower) == exact else np.nextafter(lower, np.inf))


def test_excluded_ends_lie_outside_the_inner_box(read):
    (clause,) = read(f"{declarations(1, 1)} (assert (and (> X_0 0) (< X_0 1)))", 1, 1).clauses
    assert (clause.lower, clause.upper) == (0, 1)
    assert clause.inner == (np.nextafter(0, 1), np.nextafter(1, 0))


def test_gzip_and_order_of_declarations(tmp_path):
    lines = (declarations() + BOX).splitlines()
    (tmp_path / "p.vnnlib.gz").write_bytes(
        gzip.compress("\n".join(sorted(lines, reverse=True)[1:] + lines[-1:]).encode())
    )
    with pytest.raises(InputError, match="declared"):  # X_0 is used before its declaration
        read_query(tmp_path / "p.vnnlib.gz", 2, 2)
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress("\r\n".join(lines).encode()))
    assert len(read_query(tmp_path / "p.vnnlib.gz", 2, 2).clauses) == 1


# A formula is a comparison of `variable` with a number or another variable, or ("and" | "or", parts).
NUMBERS = st.sampled_from(["0", "0.5", "-1", "1e-05", "1", "-0.25", "2"])
COMPARISONS = st.tuples(
    st.sampled_from(["<=", ">=", "<", ">", "="]), st.sampled_from(["X_0", "X_1", "Y_0", "Y_1"]), NUMBERS
)
PAIRS = st.tuples(st.sampled_from(["<=", ">=", "<", ">"]), st.just("Y_0"), st.just("Y_1"))
FORMULAS = st.recursive(
    st.one_of(COMPARISONS, PAIRS),
    lambda parts: st.tuples(st.sampled_from(["and", "or"]), st.lists(parts, min_size=1, max_size=3)),
    max_leaves=10,
)
HOLDS = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
}


def text_of(formula):
    if len(formula) == 2:
        return f"({formula[0]} {' '.join(map(text_of, formula[1]))})"
    return f"({' '.join(formula)})"


def holds(formula, point):
    if len(formula) == 2:
        return (all if formula[0] == "and" else any)(holds(part, point) for part in formula[1])
    operator, left, right = formula
    return HOLDS[operator](point[left], point[right] if right in point else Fraction(right))


def clause_holds(clause, x, y):
    """On float64 inputs, so that the inner box is the exact one."""
    inside = all(l <= value <= u for l, value, u in zip(clause.inner[0], x, clause.inner[1], strict=True))
    sums = [
        (sum(factor * Fraction(y[index]) for index, factor in row.terms) + row.offset, row.strict)
        for row in clause.rows
    ]
    return inside and all(total < 0 if strict else total <= 0 for total, strict in sums)


@settings(max_examples=150, deadline=None)
@given(st.lists(FORMULAS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_clauses_hold_where_the_formula_does(tmp_path_factory, formulas, random):
    path = tmp_path_factory.getbasetemp() / "random.vnnlib"
    box = "".join(f"(assert (<= {name} 3)) (assert (>= {name} -3))" for name in ("X_0", "X_1"))
    path.write_text(declarations() + box + "".join(f"(assert {text_of(formula)})" for formula in formulas))
    try:
        clauses = read_query(path, 2, 2).clauses
    except InputError as error:
        assert "no input satisfies it" in str(error)
        clauses = ()
    values = [0.0, 0.5, -1.0, 1e-5, 1.0, -0.25, 2.0, 0.3, -3.0, 3.0]
    for _ in range(30):
        x, y = random.choices(values, k=2), random.choices(values, k=2)
        point = {name: Fraction(value) for name, value in zip(("X_0", "X_1", "Y_0", "Y_1"), x + y, strict=True)}
        expected = all(holds(formula, point) for formula in formulas)
        assert any(clause_holds(clause, x, y) for clause in clauses) == expected


def test_all_competition_properties_are_read(shared):
    """One of each shape of file; every name a category and a size of network."""
    root = shared / "benchmarks" / "vnncomp"
    chosen = {}
    with open(root / "manifest.csv", newline="") as file:
        for line in csv.DictReader(file):
            chosen.setdefault((line["set"], line["category"], line["n_in"]), line)
    assert len(chosen) > 15
    for line in chosen.values():
        query = read_query(root / line["vnnlib"], int(line["n_in"]), int(line["n_out"]))
        assert query.clauses
        assert all((clause.lower <= clause.upper).all() for clause in query.clauses)
        assert any(clause.rows for clause in query.clauses)
