"""Property files that are wrong, or meant to hurt: a sentence with the place, bounded memory and time, no verdict."""

import gzip
import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glscert.verifier.errors import GlscertError, InputError, UnsupportedError
from glscert.verifier.spec import normal_form, read_query, read_signature

DECLARED = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
BOX = "(assert (<= X_0 1))\n(assert (>= X_0 0))\n"

WRONG = {
    "": "this file says nothing",
    "; only a comment": "this file says nothing",
    "no property": "1:1: expected a statement in parentheses, found 'no'",
    DECLARED + BOX + "(assert (<= Y_0 1)": "5:1: this parenthesis is never closed",
    DECLARED + BOX + "(assert (<= Y_0 1)))": "5:20: this parenthesis closes nothing",
    DECLARED + BOX + "(assert (<= Y_0 abc))": "5:17: expected a number, .*'abc'; is it declared",
    DECLARED + BOX + "(assert (<= Y_0 1e))": "found '1e'",
    DECLARED + BOX + "(assert (<= Y_0 nan))": "found 'nan'",
    DECLARED + BOX + "(assert (<= Y_0 1_000))": "found '1_000'",
    DECLARED + BOX + "(assert (<= Y_0 ١))": "found '١'",
    DECLARED + BOX + "(assert (<= Y_00 1))": "found 'Y_00'",
    DECLARED + BOX + "(assert (<= Y_1 1))": "found 'Y_1'",
    DECLARED + BOX + "(assert (<= Y_0))": "compares two terms, here it has 1",
    DECLARED + BOX + "(assert (<= Y_0 1) (<= Y_0 2))": "holds one formula, this one holds 2",
    DECLARED + BOX + "(assert)": "holds 0",
    DECLARED + BOX + "(assert ())": "expected a comparison",
    DECLARED + BOX + "(assert (and))": "and joins nothing",
    DECLARED + BOX + "(assert (<= (+) 1))": "has no operands",
    DECLARED + BOX + "(assert Y_0)": "expected a comparison .* found 'Y_0'",
    DECLARED + BOX + '(assert (<= Y_0 "))': "never closed|found",
    DECLARED + "(declare-const X_0 Real)": "X_0 is declared twice",
    DECLARED + "(declare-const X_1 Real)": "X_1 is declared, but the network has 1 inputs",
    DECLARED + "(declare-const Z_0 Real)": "expected a declaration",
    DECLARED + "(declare-const X_0 Int)": "expected a declaration",
    "(declare-const X_0 Real)" + BOX: "Y_0 is not declared, but the network has 1 outputs",
    "(declare-const X_999999999999 Real)": "is declared, but",
    DECLARED + "(assert (<= X_0 1))": "input 0 has no lower bound",
    DECLARED + "(assert (or (<= X_0 1) (>= X_0 0)))": "input 0 has no lower bound in one of the cases",
    DECLARED + "(assert (<= X_0 0)) (assert (>= X_0 1))": "no input satisfies it: input 0 is to be at least 1.0",
    DECLARED + BOX + "(assert (or (< X_0 0) (> X_0 1)))": "no input satisfies it",
}

UNSUPPORTED = {
    "(assert (<= (* Y_0 Y_0) 1))": "multiplies variables",
    "(assert (<= (/ 1 Y_0) 1))": "divides by zero or a variable",
    "(assert (<= (/ Y_0 0) 1))": "divides by zero or a variable",
    "(assert (not (<= Y_0 1)))": "operator 'not' is not supported here; supported: and, or",
    "(assert (<= Y_0 1e999999999))": "beyond the supported numbers",
    f"(assert (<= Y_0 {'1' * 100_000}))": "beyond the supported numbers",
    "(assert (<= Y_0 1e400))": "beyond 2",
    "(assert (<= (* 1e-200 Y_0) 1))": "a factor below",
    f"(assert (<= (* {'1e999 ' * 200} Y_0) 1))": "too many digits",
    "(push 1)": "statement 'push' is not supported",
    f"(assert {'(and ' * 100_000}": "nest deeper",
    "(" * 100_000: "nest deeper",
    "(assert (or (<= Y_0 1) (<= Y_0 2)))" * 40: "make more than 10|make 1099511627776 cases",
}


def refused(path, kind):
    with pytest.raises(kind) as caught:
        read_query(path, 1, 1)
    assert len(str(caught.value)) < 500
    return caught.value


@pytest.mark.parametrize("text", WRONG)
def test_wrong_texts(tmp_path, text):
    path = tmp_path / "p.vnnlib"
    path.write_text(text, encoding="utf-8")
    assert re.search(WRONG[text], str(refused(path, InputError)))


@pytest.mark.parametrize("text", UNSUPPORTED, ids=lambda text: text[:30])
def test_unsupported_texts(tmp_path, text):
    path = tmp_path / "p.vnnlib"
    path.write_text(DECLARED + BOX + text)
    assert re.search(UNSUPPORTED[text], str(refused(path, UnsupportedError)))


def test_a_relation_of_inputs_bounds_none(tmp_path):
    path = tmp_path / "p.vnnlib"
    path.write_text(DECLARED + "(declare-const X_1 Real)" + BOX + "(assert (<= (+ X_0 X_1) 1))")
    with pytest.raises(InputError, match="input 1 has no lower bound"):
        read_query(path, 2, 1)


def test_relations_of_numbers_beyond_float64(tmp_path):
    path = tmp_path / "p.vnnlib"
    path.write_text(
        DECLARED + "(declare-const X_1 Real)" + BOX + "(assert (and (>= X_1 -1e115) (<= X_1 1e115)))"
        "(assert (<= (* 1e-115 X_0) (* 1e115 X_1)))"
    )
    (clause,) = read_query(path, 2, 1).clauses
    assert (clause.lower.tolist(), clause.upper.tolist()) == ([0, 0], [1, 1e115])


def test_the_place_is_shown_under_the_sentence(tmp_path):
    path = tmp_path / "p.vnnlib"
    path.write_text(DECLARED + BOX + "\t(assert (<= Y_0 abc)) ; comment")
    assert refused(path, InputError).excerpt == ("\n     (assert (<= Y_0 abc)) ; comment\n                     ^")
    path.write_text(DECLARED + " " * 10_000 + "abc" + "x" * 10_000)
    excerpt = refused(path, InputError).excerpt
    assert len(excerpt) < 300 and excerpt.splitlines()[1][excerpt.splitlines()[2].index("^")] == "a"


def test_files_that_are_none(tmp_path):
    (tmp_path / "p").write_bytes(b"\xff\xfe\x00")
    assert "not a text" in str(refused(tmp_path / "p", InputError))
    (tmp_path / "p.gz").write_bytes(gzip.compress(b"x" * 1000)[:-10])
    assert "damaged gzip" in str(refused(tmp_path / "p.gz", InputError))
    assert "cannot read" in str(refused(tmp_path / "absent", InputError))
    assert "is a folder" in str(refused(tmp_path, InputError))


def test_a_million_variables_for_a_small_network(tmp_path):
    path = tmp_path / "p.vnnlib.gz"
    text = "".join(f"(declare-const X_{i} Real)\n" for i in range(1_000_000))
    path.write_bytes(gzip.compress(text.encode(), 1))
    tracemalloc.start()
    assert "X_1 is declared, but the network has 1 inputs" in str(refused(path, InputError))
    assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    tracemalloc.stop()


def test_many_boxes_of_many_inputs(tmp_path, monkeypatch):
    monkeypatch.setattr(normal_form, "MAX_BOX_BYTES", 10**7)
    inputs = 1_000
    names = [f"X_{i}" for i in range(inputs)]
    text = "".join(f"(declare-const {name} Real)(assert (>= {name} 0))(assert (<= {name} 1))\n" for name in names)
    text += "(declare-const Y_0 Real)" + f"(assert (or {' '.join(f'(<= {name} 0.5)' for name in names)}))"
    path = tmp_path / "p.vnnlib"
    path.write_text(text)
    with pytest.raises(UnsupportedError, match="different boxes"):
        read_query(path, inputs, 1)


VALID = {
    1: DECLARED + BOX + "(assert (or (<= Y_0 (+ 1e-05 (* 2 Y_0))) (and (>= X_0 0.5) (< Y_0 -.5)))) ; end",
    2: '(vnnlib-version <2.0>) (declare-network f (declare-input X Real [1,1] "x") (declare-output Y float32 [1]))'
    "(assert (and (<= X[0,0] 1) (>= X [0, 0] 0))) (assert (or (!= Y[0] 1) (== Y[0] (- 2))))",
}
PIECES = [
    "(",
    ")",
    "[",
    "]",
    '"',
    "|",
    ";",
    " ",
    "\n",
    "\0",
    "<",
    "-",
    "1e9",
    "X_0",
    "Y[0]",
    "and",
    "٣",
    "\U0001f600",
    "/",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_mutated_texts_are_refused_or_read(tmp_path_factory, version, data):
    """Cut, swapped, doubled or with something put in: a query or a sentence, never another exception."""
    text = VALID[version]
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.integers(0, len(text)))
        last = data.draw(st.integers(first, min(len(text), first + 20)))
        text = text[:first] + data.draw(st.sampled_from(["", text[first:last] * 2, *PIECES])) + text[last:]
    path = tmp_path_factory.getbasetemp() / "mutated.vnnlib"
    path.write_text(text, encoding="utf-8")
    try:
        read_signature(path)
        read_query(path, 1, 1)
    except GlscertError as error:
        assert len(str(error)) < 600
        assert "Traceback" not in str(error)
