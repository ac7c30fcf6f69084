"""Witnesses as text, read back."""

import re
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from glscert.verifier.spec import Signature, Tensor, assignment
from glscert.verifier.spec.witness import decimal


def test_the_competition_s_format():
    x, y = np.array([0.5, -1], np.float32), np.array([3], np.float32)
    assert assignment(None, x, y) == "((X_0 0.5)\n(X_1 -1)\n(Y_0 3))\n"


def test_the_standard_s_format():
    declared = Signature("f", (Tensor("in", "Real", (1, 2)),), (Tensor("out", "Real", ()),))
    x, y = np.array([0.5, -1], np.float32), np.array([3], np.float32)
    assert assignment(declared, x, y) == "in Real [1,2]\n0.5\n-1\nout Real []\n3\n"


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_decimals_are_exact(value):
    text = decimal(np.float32(value))
    assert re.fullmatch(r"-?\d+(\.\d+)?", text)
    assert Fraction(text) == Fraction(value)
    assert np.float32(float(text)) == np.float32(value)
