"""VNN-LIB 2 says the same as version 1 in other words; what goes beyond the subset is refused."""

import numpy as np
import pytest

from glscert.verifier.errors import InputError, UnsupportedError
from glscert.verifier.spec import Signature, Tensor, read_query, read_signature

HEADER = """(vnnlib-version <2.0>)
(declare-network f
    (declare-input  X Real [1,2])
    (declare-output Y Real [1, 2] "scores")
)
"""
BOX = "(assert (>= X[0,0] 0)) (assert (<= X [0, 0] 1.0)) (assert (>= X[0,1] -1)) (assert (<= X[0,1] 2))"
OUTPUT = "(assert (or (>= Y[0,0] Y[0,1]) (and (== Y[0,1] 0.5) (< (* 2 Y [0,0]) (- Y[0,1])))))"
OLD = """(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (>= X_0 0)) (assert (<= X_0 1.0)) (assert (>= X_1 -1)) (assert (<= X_1 2))
(assert (or (>= Y_0 Y_1) (and (= Y_1 0.5) (< (* 2 Y_0) (- Y_1)))))"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "property.vnnlib"
        path.write_text(text)
        return path

    return write


def test_both_versions_say_the_same(file):
    new = read_query(file(HEADER + BOX + OUTPUT), 2, 2)
    old = read_query(file(OLD), 2, 2)
    assert len(new.clauses) == len(old.clauses) == 2
    for one, other in zip(new.clauses, old.clauses, strict=True):
        assert one.rows == other.rows
        assert np.array_equal([one.lower, one.upper, *one.inner], [other.lower, other.upper, *other.inner])


def test_what_is_declared(file):
    found = read_signature(file(HEADER + BOX + OUTPUT))
    assert found == Signature("f", (Tensor("X", "Real", (1, 2)),), (Tensor("Y", "Real", (1, 2), "scores"),))
    assert read_signature(file(OLD)) is None


def test_indices_are_row_major_and_scalars_have_none(file):
    text = """(vnnlib-version <2.0>)
    (declare-network f (declare-input in float32 [2,3]) (declare-output out float32 []))
    (assert (<= out 1))"""
    text += "".join(f"(assert (== in[{i},{j}] {3 * i + j}))" for i in range(2) for j in range(3))
    (clause,) = read_query(file(text), 6, 1).clauses
    assert clause.lower.tolist() == [0, 1, 2, 3, 4, 5]
    assert clause.rows[0].terms == ((0, 1),)


def test_unequal_is_less_or_greater(file):
    clauses = read_query(file(HEADER + BOX + "(assert (!= Y[0,0] 0))"), 2, 2).clauses
    assert sorted((row.terms, row.strict) for clause in clauses for row in clause.rows) == [
        (((0, -1),), True),
        (((0, 1),), True),
    ]


REFUSED = {
    "(vnnlib-version <3.0>)": (UnsupportedError, "version <3.0>; supported: 1 and <2.0>"),
    "(vnnlib-version <2.0>)": (InputError, "found the end of the file"),
    "(vnnlib-version <2.0>) (assert (<= 1 1))": (InputError, "expected a declaration such as"),
    HEADER + "(declare-network g (declare-input U Real [1]))": (UnsupportedError, "comparing two networks is not"),
    HEADER.replace("Real [1,2]", "Real"): (InputError, "shape such as"),
    HEADER.replace("Real [1,2]", "Real [1,0]"): (InputError, "shape such as"),
    HEADER.replace("Real [1,2]", "Real [1,x]"): (InputError, "shape such as"),
    HEADER.replace("Real [1,2]", "int8 [1,2]"): (UnsupportedError, "type 'int8' is not supported"),
    HEADER.replace("Real [1,2]", "Real [1,3]"): (InputError, "X has 3 elements, but the network has 2 inputs"),
    HEADER.replace("declare-input ", "declare-hidden"): (UnsupportedError, "'declare-hidden' is not supported"),
    HEADER.replace("declare-output", "declare-input "): (InputError, "has no declare-output"),
    HEADER.replace(" Y ", " X "): (InputError, "both called 'X'"),
    HEADER.replace("f\n", "f (isomorphic-to g)\n"): (UnsupportedError, "'isomorphic-to' is not supported"),
    HEADER + "(assert (<= X[0,2] 1))": (InputError, "lies outside the shape"),
    HEADER + "(assert (<= X[0] 1))": (InputError, "needs 2 indices"),
    HEADER + "(assert (<= X 1))": (InputError, "needs 2 indices"),
    HEADER + "(assert (<= X[0,-1] 1))": (InputError, "needs 2 indices"),
    HEADER + "(assert (<= Z[0,1] 1))": (InputError, "is it declared"),
    HEADER + "(declare-const X_0 Real)": (UnsupportedError, "'declare-const' is not supported"),
    HEADER + BOX.replace("<=", ">="): (InputError, "no upper bound"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(file, text):
    kind, sentence = REFUSED[text]
    with pytest.raises(kind) as caught:
        read_query(file(text), 2, 2)
    assert sentence in str(caught.value)
