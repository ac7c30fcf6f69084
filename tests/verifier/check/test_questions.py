"""What a certificate is about covers what verify proves: the same regions, the same clauses."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier.check.checker import Checker
from glscert.verifier.check.header import labelled_questions
from glscert.verifier.check.questions import Ball, Clauses, Row, labelled, stated
from glscert.verifier.check.refusal import Refused
from glscert.verifier.search.boxes import attack_box, proof_box
from glscert.verifier.search.clauses import grouped
from glscert.verifier.spec import Clause
from glscert.verifier.spec import Row as StatedRow
from onnx_models import make, node

ONE = Fraction(1)


@pytest.mark.parametrize("floating", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(30))
def test_regions_of_labelled_inputs_are_those_that_are_verified(seed: int, floating: type) -> None:
    rng = np.random.default_rng([seed, 8])
    x = rng.choice([0.0, 0.1, 1.0, 0.5, 1e-9, 1 / 3], (4, 5)) if seed % 2 else rng.random((4, 5))
    x = x.astype(rng.choice([np.float32, np.float64]))
    eps = rng.choice([0.0, 0.1, 1e-9, 1e-12], 5) if seed % 3 else np.array(rng.choice([0.1, 2 / 255, 1e-12]))
    clauses = [Clauses(((Row(((0, ONE), (1, -ONE))),),), 5, 2)]
    found = labelled(x, [0] * 4, Ball(eps, np.array(0.0), np.array(1.0)), clauses, np.dtype(floating))
    proof, fed = proof_box(x, eps, 0.0, 1.0, np.dtype(floating)), attack_box(x, eps, 0.0, 1.0, np.dtype(floating))
    for number, question in enumerate(found):
        (own,) = question.groups
        np.testing.assert_array_equal(own.lower, proof.lower[number])
        np.testing.assert_array_equal(own.upper, proof.upper[number])
        np.testing.assert_array_equal(own.least, fed.lower[number])
        np.testing.assert_array_equal(own.most, fed.upper[number])
        assert own.middle.dtype == floating and ((own.least <= own.middle) & (own.middle <= own.most)).all()


def drawn_clause(rng: np.random.Generator, ends: list[tuple[np.ndarray, np.ndarray]]) -> Clause:
    lower, upper = ends[int(rng.integers(len(ends)))]
    rows = tuple(
        StatedRow(
            tuple((k, Fraction(int(rng.integers(1, 5)), 3)) for k in range(2)),
            Fraction(int(rng.integers(-9, 9)), 7),
            inputs=((1, Fraction(-2)),) if rng.random() < 0.3 else (),
        )
        for _ in range(int(rng.integers(0, 4)))
    )
    return Clause(lower, upper, (lower, upper), rows)


@pytest.mark.parametrize("seed", range(30))
def test_groups_of_a_property_are_those_that_are_verified(seed: int) -> None:
    rng = np.random.default_rng([seed, 9])
    ends = [(low, low + rng.choice([0.0, 1.0, -1.0], 3)) for low in rng.normal(size=(3, 3))]
    clauses = [drawn_clause(rng, ends) for _ in range(8)]
    found, expected = stated(clauses, 3, 2), grouped(clauses, 2, None, 2**20, (1,))
    assert len(found.groups) == len(expected) and not found.labelled
    for own, other in zip(found.groups, expected, strict=True):
        np.testing.assert_array_equal(own.lower, other.proof.lower)
        np.testing.assert_array_equal(own.upper, other.proof.upper)
        assert len(own.clauses.rows) == len(other.clauses)
        for rows, exact in zip(own.original, other.exact, strict=True):
            assert [row.offset for row in rows] == [row.offset for row in exact]


def test_a_clause_without_rows_is_never_closed() -> None:
    clause = Clause(np.zeros(1), np.ones(1), (np.zeros(1), np.ones(1)), ())
    (own,) = stated([clause], 1, 1).groups
    assert own.clauses.rows == ((),) and len(own.clauses.candidates.clause) == 0


def test_factors_of_one_output_add_up() -> None:
    matrix = Clauses(((Row(((0, ONE), (0, -2 * ONE)), ONE, ((1, ONE), (1, ONE))),),), 2, 1).candidates
    assert matrix.outputs.tolist() == [[-1.0]] and matrix.inputs is not None and matrix.inputs.tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("threshold", ("inf", "-inf"))
def test_an_infinite_threshold_is_refused(threshold: str) -> None:
    network = Checker(make([node("Relu", "x", "y")], ("b", 1), {})).network
    one = [(1.0).hex()]
    questions = {"kind": "labelled", "norm": "linf", "eps": one, "low": [(0.0).hex()], "high": one}
    task = {"task": "binary", "threshold": threshold}
    with pytest.raises(Refused, match="the threshold is"):
        labelled_questions(questions | {"task": task}, network, np.zeros((1, 1)), [0], [0])
