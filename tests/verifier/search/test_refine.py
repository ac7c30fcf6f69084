"""Refined boxes lie within the given ones and around every value that the network takes."""

import pytest

from engine_cases import engine_case, points_in, preactivations, random_ball, values_at
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.region import Norm
from glscert.verifier.search.refine import below, refined
from random_graphs import CURVED, GRAPHS, Builder


def climbed(engine, anchor, pre, memory=2**14):
    work = refined(engine, anchor, pre, steps=4, memory=memory)
    while True:
        try:
            next(work)
        except StopIteration as over:
            return over.value


def assert_within_and_around(found, pre, values):
    assert set(found) == set(pre)
    for value, (lower, upper) in found.items():
        assert (lower >= pre[value].lower).all() and (upper <= pre[value].upper).all()
        assert (values[value] >= lower - 1e-9).all() and (values[value] <= upper + 1e-9).all()


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_within_the_given_boxes_and_around_the_values(name):
    case = engine_case(name, 5, batch=1, radius=0.5)
    pre = preactivations(case.engine, case.anchor)
    found = climbed(case.engine, case.anchor, pre)
    assert_within_and_around(found, pre, values_at(case, points_in(case.box, case.rng, 300)))


@pytest.mark.parametrize("norm", (Norm.L1, Norm.L2))
def test_over_a_ball_as_well(norm):
    case = engine_case("dense_residual", 6, batch=1)
    box, ball = random_ball(case, norm)
    pre = preactivations(case.engine, Anchor(box, ball))
    found = climbed(case.engine, Anchor(box, ball), pre)
    points = points_in(box, case.rng, 500)
    shares = abs(points - ball.centre) / ball.radius.clip(1e-12)
    size = shares.sum(2) if norm is Norm.L1 else (shares * shares).sum(2) ** 0.5
    points = ball.centre + (points - ball.centre) / size.clip(1)[:, :, None]
    assert_within_and_around(found, pre, values_at(case, points))


def test_it_tells_more_than_the_boxes_it_began_with():
    case = engine_case("gemm_only", 5, batch=1, radius=0.5)
    pre = preactivations(case.engine, case.anchor)
    found = climbed(case.engine, case.anchor, pre)
    assert any((found[name].lower > pre[name].lower + 1e-3).any() for name in pre)


def test_a_part_is_what_a_value_depends_on():
    def branches(rng):
        b = Builder((3,), rng)
        left, right = b.relu(b.gemm("x", 4)), b.relu(b.gemm("x", 5))
        both = b.join("Add", b.relu(b.gemm(left, 5)), right)
        return b.finish(b.gemm(b.relu(b.gemm(both, 3)), 2))

    engine = engine_case("branches", 5, make=branches).engine
    parts, (left, right, middle, last) = below(engine), list(engine.bends)
    assert [parts[name][0] for name in (left, right, middle, last)] == [[], [], [left], [left, right, middle]]
    assert parts[middle][1] == engine.upto(middle).multiplications == 1 + 12 + 20
