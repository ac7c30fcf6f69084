"""What float32 numbers stand for the exact numbers of an input."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier.spec import read_query
from glscert.verifier.spec.interval import Interval, rounded
from glscert.verifier.spec.witness import decimal

TENTH = Fraction(1, 10)


def test_rounding_is_to_the_nearest_and_of_two_to_the_even_one():
    rng = np.random.default_rng(0)
    for value in rng.normal(size=200) * 2.0 ** rng.integers(-160, 120, 200):
        assert rounded(Fraction(value)) == np.float32(value)
    halfway = Fraction(1) + Fraction(1, 2**24)
    assert rounded(halfway) == 1
    assert rounded(halfway + Fraction(1, 10**30)) == np.float32(1 + 2.0**-23)  # rounding twice would give 1
    assert rounded(Fraction(10) ** 40) == np.inf


def test_an_end_that_is_left_out_is_not_the_nearest_point():
    assert Interval(TENTH, TENTH).nearest(Fraction(1)) == TENTH
    open_above = Interval(Fraction(0), TENTH, below=True)
    assert open_above.nearest(Fraction(1)) == TENTH / 2
    assert open_above.nearest(Fraction(-1)) == 0
    assert open_above.nearest(TENTH / 3) == TENTH / 3


@pytest.fixture
def clauses(tmp_path):
    def read(*assertions):
        declared = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0"))
        path = tmp_path / "p.vnnlib"
        path.write_text(declared + "\n".join(f"(assert {each})" for each in assertions))
        return read_query(path, 2, 1)

    return read


def test_a_decimal_is_fed_its_nearest_float32(clauses):
    query = clauses("(= X_0 0.1)", "(>= X_1 0.3)", "(<= X_1 0.5)", "(>= Y_0 0)")
    (clause,) = query.clauses
    assert query.nearest == (0,)
    assert [end[0] for end in clause.fed] == [np.float32(0.1)] * 2
    assert np.float64(clause.fed[0][1]) >= 0.3 and clause.fed[1][1] == 0.5
    assert clause.nearest(np.float32([0.1, 0.4])) == [TENTH, Fraction(float(np.float32(0.4)))]
    assert clause.exact[1].lower == Fraction(3, 10)


def test_each_case_has_intervals_of_its_own(clauses):
    query = clauses(
        "(= X_0 0.1)", "(or (and (= X_1 0.7) (>= Y_0 0)) (and (= X_1 0.75) (<= Y_0 1)) (and (>= X_0 0.1) (= X_1 1)))"
    )
    assert [tuple(clause.between) for clause in query.clauses] == [(0, 1), (0,), (0,)]
    assert query.nearest == (0, 1)
    assert query.clauses[0].exact[1] == Interval(Fraction(7, 10), Fraction(7, 10))


def test_both_neighbours_are_fed_for_an_interval_that_reaches_far_between_them(clauses):
    low, high = Fraction(1) + Fraction(1, 2**26), Fraction(1) + Fraction(7, 2**26)  # the float32 are 1 and 1 + 2^-23
    ends = [f"(>= X_0 {decimal(float(low))})", f"(<= X_0 {decimal(float(high))})"]
    (clause,) = clauses(*ends, "(= X_1 0)", "(>= Y_0 0)").clauses
    assert [float(end[0]) for end in clause.fed] == [1, 1 + 2.0**-23]
    assert clause.nearest(np.float32([1, 0]))[0] == low
    (strict,) = clauses(ends[0].replace(">=", ">"), ends[1], "(= X_1 0)", "(>= Y_0 0)").clauses
    assert low < strict.nearest(np.float32([1, 0]))[0] < high


def test_numbers_beyond_float32_are_not_fed(clauses):
    query = clauses("(= X_0 1e39)", "(= X_1 0)", "(>= Y_0 0)")
    assert query.nearest == () and query.clauses[0].fed[0][0] > query.clauses[0].fed[1][0]
