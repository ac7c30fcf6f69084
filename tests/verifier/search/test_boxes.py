"""attack box within the true ball within proof box, in exact numbers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glscert.verifier.search.boxes import attack_box, fed, proof_box

single = st.floats(0, 1, width=32)
radii = st.one_of(st.sampled_from([0.0, 0.1, 2 / 255, 1e-12, 1e-45, 5e-324, 3.0]), st.floats(0, 2))


def exact(array):
    return [Fraction(value) for value in array.ravel().tolist()]


@given(x=st.lists(single, min_size=1, max_size=8), eps=radii)
def test_the_ball_lies_between(x, eps):
    centre = np.array([x], np.float32)
    inner, outer = attack_box(centre, eps, 0.0, 1.0), proof_box(centre, eps, 0.0, 1.0)
    ends = [exact(end) for end in (outer.lower, inner.lower, inner.upper, outer.upper)]
    for c, proof_low, low, high, proof_high in zip(exact(centre), *ends, strict=True):
        ball_low, ball_high = max(c - Fraction(eps), Fraction(0)), min(c + Fraction(eps), Fraction(1))
        assert proof_low <= ball_low <= low <= c <= high <= ball_high <= proof_high


entries = st.tuples(single, radii, st.floats(-1, 0, width=32), st.floats(1, 2, width=32))


@given(rows=st.lists(entries, min_size=1, max_size=6))
def test_the_ball_lies_between_where_every_entry_has_its_own(rows):
    x, eps, low, high = (np.array(column) for column in zip(*rows, strict=True))
    centre = x[None].astype(np.float32)
    inner, outer = attack_box(centre, eps, low, high), proof_box(centre, eps, low, high)
    ends = [exact(end) for end in (outer.lower, inner.lower, inner.upper, outer.upper)]
    for c, e, l, h, proof_low, least, most, proof_high in zip(
        exact(centre), exact(eps), exact(low), exact(high), *ends, strict=True
    ):
        assert proof_low <= max(c - e, l) <= least <= c <= most <= min(c + e, h) <= proof_high
        assert e > 0 or least == c == most


doubles = st.one_of(st.floats(0, 1), single, st.sampled_from([0.1, 0.7, 1 - 2.0**-53, 2.0**-30 + 2.0**-60]))
TYPES = (np.dtype(np.float32), np.dtype(np.float64))


@pytest.mark.parametrize("dtype", TYPES)
@given(x=st.lists(doubles, min_size=1, max_size=8), eps=radii, high=st.sampled_from([1.0, np.inf]))
def test_the_ball_stands_around_the_number_given(dtype, x, eps, high):
    """Proved: all of it, and what a runtime is fed. Fed: numbers of the runtime's type inside; where there is none the
    nearest to the number."""
    centre = np.array([x])
    inner, outer = attack_box(centre, eps, 0.0, high, dtype), proof_box(centre, eps, 0.0, high, dtype)
    assert inner.lower.dtype == dtype
    ends = [exact(end) for end in (outer.lower, inner.lower, inner.upper, outer.upper)]
    given, nearest = exact(centre), exact(centre.astype(dtype))
    for c, fed_for, near, proof_low, low, upper, proof_high in zip(
        given, exact(fed(centre, inner)), nearest, *ends, strict=True
    ):
        ball_low, ball_high = max(c - Fraction(eps), Fraction(0)), c + Fraction(eps)
        ball_high = ball_high if high == np.inf else min(ball_high, Fraction(1))
        assert proof_low <= ball_low and ball_high <= proof_high
        assert proof_low <= low <= fed_for <= upper <= proof_high
        assert low == upper == near or ball_low <= low <= upper <= ball_high
        assert abs(fed_for - c) <= abs(near - c) + Fraction(2.0**-50)


def test_where_float32_has_no_number():
    """Between 2^24 and 2^24 + 2 there is none; in float64 there is."""
    x = np.array([[2.0**24 + 1]])
    for dtype, least, most in ((TYPES[0], 2.0**24, 2.0**24), (TYPES[1], 2.0**24 + 0.75, 2.0**24 + 1.25)):
        lower, upper = (end.item() for end in attack_box(x, 0.25, -np.inf, np.inf, dtype))
        assert (lower, upper) == (pytest.approx(least, rel=1e-15), pytest.approx(most, rel=1e-15))
        lower, upper = (end.item() for end in proof_box(x, 0.25, -np.inf, np.inf, dtype))
        assert lower <= least and 2.0**24 + 1.25 <= upper < 2.0**24 + 1.26


@pytest.mark.parametrize("text", ("0.1", "0.3", "0.007", "0.05"))
def test_a_decimal_radius_counts_as_written(text):
    """The float of 0.1 lies above 0.1, that of 0.3 below: neither may matter."""
    x = np.random.default_rng(1).uniform(0, 1, (1, 500)).astype(np.float32)
    inner, outer = (box(x, float(text), -10.0, 10.0) for box in (attack_box, proof_box))
    eps = Fraction(text)
    for c, low, high in zip(exact(x), exact(inner.lower), exact(inner.upper), strict=True):
        assert c - eps <= low and high <= c + eps
    for c, low, high in zip(exact(x), exact(outer.lower), exact(outer.upper), strict=True):
        assert low <= c - eps and c + eps <= high


def test_both_are_tight():
    x = np.full((1, 1), 0.5, np.float32)
    for box, close in ((attack_box, 1e-7), (proof_box, 1e-15)):
        lower, upper = box(x, 0.1, 0.0, 1.0)
        assert abs(lower.item() - 0.4) < close and abs(upper.item() - 0.6) < close


def test_without_a_range_and_beyond_float32():
    x = np.zeros((1, 2), np.float32)
    lower, upper = attack_box(x, 1e300, -np.inf, np.inf)
    assert np.isfinite(lower).all() and np.isfinite(upper).all()
