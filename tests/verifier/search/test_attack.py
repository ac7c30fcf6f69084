"""The attack stays inside its region and reports the margin of the point it returns."""

from fractions import Fraction

import numpy as np
import pytest

from engine_cases import engine_case, random_ball
from glscert.verifier import deadline
from glscert.verifier.functions import Box
from glscert.verifier.region import Norm
from glscert.verifier.search.attack import Related, disjunction, part_of, pgd
from glscert.verifier.spec import Row
from glscert.verifier.spec.settle import Settler

EASY = {"steps": 10, "restarts": 4}


def weakest(rows, offset, targets=None):
    """Every row by itself, broken where it is negative; targets: the row that each box descends."""
    aims = np.full(len(rows), -1) if targets is None else targets
    return disjunction(rows[:, :, None], offset[:, :, None], aims)


def conjunction(rows, offset):
    """All rows must become negative together."""
    return disjunction(rows[:, None], offset[:, None], np.full(len(rows), -1))


def single(box):
    return Box(*(end.astype(np.float32) for end in box))


def values(case, points):
    """Of the specification's rows [B, M]."""
    return np.einsum("bmk,bk->bm", case.spec.rows, case.engine.evaluate(points)) + case.spec.offset


@pytest.mark.parametrize("targeted", (False, True))
@pytest.mark.parametrize("name", ("gemm_only", "conv_chain", "normalised", "sigmoids"))
def test_inside_with_its_margin(name, targeted):
    case = engine_case(name, 13, batch=5)
    box, targets = single(case.box), np.arange(5) % 3 if targeted else None
    aim = weakest(*case.spec, targets)
    points, margin = pgd(case.engine.single, box, aim, **EASY, generator=np.random.default_rng(0))
    assert points.dtype == margin.dtype == np.float32
    assert (points >= box.lower).all() and (points <= box.upper).all()
    np.testing.assert_allclose(values(case, points).min(1), margin, atol=1e-4)
    if not targeted:
        assert (margin <= values(case, (box.lower + box.upper) / 2).min(1) + 1e-4).all()


@pytest.mark.parametrize("name", ("gemm_only", "residual"))
def test_a_target_is_descended(name):
    case = engine_case(name, 17, batch=6, radius=0.6)
    spec = case.spec._replace(offset=case.spec.offset + 100)  # nothing breaks, every step is made
    for target in range(3):
        aim = weakest(*spec, np.full(6, target))
        points, _ = pgd(case.engine, case.box, aim, steps=20, restarts=1, generator=np.random.default_rng(0))
        start = values(case, (case.box.lower + case.box.upper) / 2)
        moved = values(case, points)
        assert (moved.min(1) <= start.min(1) + 1e-12).all()
    aim = weakest(spec.rows[:, :1], spec.offset[:, :1])
    points, _ = pgd(case.engine, case.box, aim, steps=20, restarts=1, generator=np.random.default_rng(0))
    assert (values(case, points)[:, 0] < values(case, (case.box.lower + case.box.upper) / 2)[:, 0]).all()


def test_all_rows_together():
    case = engine_case("conv_chain", 19, batch=8, rows=2, radius=2.0)
    points, margin = pgd(
        case.engine, case.box, conjunction(*case.spec), steps=30, restarts=3, generator=np.random.default_rng(0)
    )
    found = values(case, points)
    np.testing.assert_allclose(found.max(1), margin, rtol=1e-10, atol=1e-10)
    assert (margin < 0).any()


@pytest.mark.parametrize("objective", (weakest, conjunction))
def test_gradients_of_objectives(objective):
    """What is descended, by differences."""
    rng = np.random.default_rng(23)
    rows, offset, y, step = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 3)), rng.normal(size=(4, 5)), 1e-6
    which = np.array([3, 1, 0, 2])

    def aim(y):
        each = np.einsum("bmk,bk->bm", rows[which], y) + offset[which]
        return each.min(1) if objective is weakest else each.max(1) + np.maximum(each, 0).sum(1)

    margin, slope = objective(rows, offset)(y, which)
    each = np.einsum("bmk,bk->bm", rows[which], y) + offset[which]
    np.testing.assert_allclose(margin, each.min(1) if objective is weakest else each.max(1))
    for k in range(5):
        moved = y + step * (np.arange(5) == k)
        np.testing.assert_allclose((aim(moved) - aim(y)) / step, slope[:, k], atol=1e-5)


@pytest.mark.parametrize("norm", (Norm.L1, Norm.L2))
@pytest.mark.parametrize("name", ("gemm_only", "conv_chain"))
def test_inside_a_ball(name, norm):
    case = engine_case(name, 29, batch=4)
    box, ball = random_ball(case, norm)
    points, margin = pgd(case.engine, ball, weakest(*case.spec), **EASY, generator=np.random.default_rng(0))
    moved = np.divide(points - ball.centre, ball.radius, out=np.zeros_like(points), where=ball.radius > 0)
    size = abs(moved).sum(1) if norm is Norm.L1 else np.sqrt((moved**2).sum(1))
    assert (size <= 1 + 1e-12).all()
    assert (points[ball.radius == 0] == ball.centre[ball.radius == 0]).all()
    assert ((points >= box.lower - 1e-12) & (points <= box.upper + 1e-12)).all()
    np.testing.assert_allclose(values(case, points).min(1), margin, atol=1e-10)
    assert (margin <= values(case, ball.centre).min(1)).all()


def test_relations_of_inputs_hold():
    """x0 >= x1 + 1/4 in the first box, nothing in the second."""
    case = engine_case("gemm_only", 31, batch=2)
    box = Box(np.zeros((2, case.engine.inputs), np.float32), np.ones((2, case.engine.inputs), np.float32))
    row = Row((), Fraction(1, 4), inputs=((0, Fraction(-1)), (1, Fraction(1))))
    settle = Settler([row], box.lower[0], box.upper[0])
    region = Related(*box, (settle, None))
    points, _ = pgd(case.engine.single, region, weakest(*case.spec), **EASY, generator=np.random.default_rng(0))
    assert points[0, 0] >= points[0, 1] + 0.25
    assert ((points >= 0) & (points <= 1)).all()
    assert part_of(region, np.array([1])).settlers == (None,)


def test_stops_when_broken_and_when_told():
    case = engine_case("gemm_only", 37, batch=2)
    seen = []

    def aim(outputs, which):
        seen.append(which.tolist())
        return np.array([-1.0, 1.0])[which], np.zeros_like(outputs)

    pgd(case.engine, case.box, aim, steps=2, restarts=3, generator=np.random.default_rng(0))
    assert seen == [[0, 1]] * 3 + [[1]] * 6  # steps of both, then of the one that is left
    seen.clear()
    pgd(case.engine, case.box, aim, steps=2, restarts=3, generator=np.random.default_rng(0), stop=lambda: True)
    assert seen == [[0, 1]] * 3
    with deadline.within(-1), pytest.raises(deadline.OutOfTime):
        pgd(case.engine, case.box, aim, steps=2, restarts=1, generator=np.random.default_rng(0))


def test_numbers_too_large_break_nothing():
    case = engine_case("gemm_only", 41)
    huge = Box(*(np.full((2, case.engine.inputs), side * 3e38, np.float32) for side in (-1, 1)))
    points, margin = pgd(case.engine.single, huge, weakest(*case.spec), **EASY, generator=np.random.default_rng(0))
    assert not (margin < 0).any() or np.isfinite(points[margin < 0]).all()
