"""α and β: whatever slopes in [0, 1] and multipliers >= 0 are taken, no point of the (split) box beats the bound."""

import numpy as np
import pytest

from engine_cases import (
    engine_case,
    of_the_cuts,
    points_in,
    preactivations,
    random_ball,
    random_dual,
    random_splits,
    rows_at,
    values_at,
)
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.dual import Cuts, dual_bounds, mixed, start_dual
from glscert.verifier.engine.impact import split_impact
from glscert.verifier.engine.plain_rows import PlainRows
from glscert.verifier.engine.sides import split_sides
from glscert.verifier.engine.substitution import relax, spec_bound, substituted
from glscert.verifier.functions import Box
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS, Builder

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
WITH_NONLINEARITY = [*WITH_RELU, *CURVED]
BALLS = [(n, norm) for n in ("conv_chain", "residual", "sigmoids", "waves") for norm in (Norm.L2, Norm.L1)]
SETS = [*((name, "box") for name in WITH_NONLINEARITY), *BALLS]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def split_case(name, seed, *, over="box", times=1, share=0.3, **options):
    """A case with an anchor, boxes of the nonlinearities' inputs that are split to where a point of the set lies, where
    they are, and the values [S, B, n] and rows at some points."""
    case = engine_case(name, seed, **options)
    box, ball = (case.box, None) if over == "box" else random_ball(case, over)
    anchor = Anchor(box, ball)
    if ball is None:
        points = points_in(box, case.rng)
    else:
        points = np.stack([ball.lowest(slope) for slope in case.rng.normal(size=(300, *box.lower.shape)) ** 3])
    values = values_at(case, points)
    plain = preactivations(case.engine, anchor)
    pre, cuts = random_splits(case.engine, plain, values, case.rng, times=times, share=share)
    return case, anchor, pre, cuts, values


def bound_of(case, anchor, boxes, dual, cuts=None):
    return dual_bounds(case.engine, case.spec, boxes, dual, cuts, anchor).bound


def inside_the_split(values, boxes):
    """Which of the sampled points [S, B] lie within the boxes."""
    within = [((values[n] >= box.lower) & (values[n] <= box.upper)).all(2) for n, box in boxes.items()]
    return np.all(within, 0)


def assert_no_point_below(rows, bound, inside=None):
    gap = rows - bound
    if inside is not None:
        assert inside.any()
        gap = gap[inside]
    assert gap.min() >= -1e-9 * max(1.0, abs(rows).max())


@pytest.mark.parametrize("name", WITH_NONLINEARITY)
def test_any_slopes_are_sound(name):
    case = engine_case(name, 80)
    slopes = {bend.name: case.rng.random((2, 1, bend.size)) for bend in case.engine.bends.values()}
    pre = preactivations(case.engine, case.anchor, slopes)
    values = values_at(case, points_in(case.box, case.rng))
    bound = spec_bound(case.engine, case.spec, relax(case.engine, pre, slopes), case.anchor)
    assert_no_point_below(rows_at(case, values), bound)
    for value, box in pre.items():
        assert (values[value] >= box.lower - 1e-9).all()
        assert (values[value] <= box.upper + 1e-9).all()


@pytest.mark.parametrize("scale", (0.1, 3.0))
@pytest.mark.parametrize(("name", "over"), SETS)
def test_any_multipliers_are_sound_on_the_split_box(name, scale, over):
    case, anchor, boxes, cuts, values = split_case(name, 81, over=over, times=2)
    dual = random_dual(boxes, 3, case.rng, scale)
    bound = bound_of(case, anchor, boxes, dual, cuts)
    assert_no_point_below(rows_at(case, values), bound, inside_the_split(values, boxes))


@pytest.mark.parametrize(("name", "over"), SETS)
def test_tightening_gains_and_stays_sound(name, over):
    case, anchor, boxes, cuts, values = split_case(name, 82, over=over)
    start = start_dual(case.engine, boxes, 3)
    lines = relax(case.engine, boxes)
    plain = spec_bound(case.engine, case.spec, lines, anchor)
    np.testing.assert_allclose(
        bound_of(case, anchor, boxes, start), plain, **CLOSE
    )  # no multipliers, least-area slopes: DeepPoly

    first = bound_of(case, anchor, boxes, start, cuts)
    best, dual, _ = dual_bounds(case.engine, case.spec, boxes, start, cuts, anchor, steps=10)
    assert (best >= first - 1e-12).all()
    np.testing.assert_allclose(bound_of(case, anchor, boxes, dual, cuts), best, **CLOSE)
    assert all(((slope >= 0) & (slope <= 1)).all() for slope in dual.slopes.values())
    for each, multiplier in dual.multipliers.items():
        assert (cuts[each].upper[:, None] | (multiplier <= 0)).all()
        assert (cuts[each].lower[:, None] | (multiplier >= 0)).all()
    assert_no_point_below(rows_at(case, values), best, inside_the_split(values, boxes))


@pytest.mark.parametrize(("name", "over"), SETS)
def test_a_sum_of_rows_with_weights_that_climb(name, over):
    case, anchor, boxes, cuts, values = split_case(name, 83, over=over)
    dual = start_dual(case.engine, boxes, 1)._replace(weights=np.full((2, 3), 1 / 3))
    first = bound_of(case, anchor, boxes, dual, cuts)
    best, found, _ = dual_bounds(case.engine, case.spec, boxes, dual, cuts, anchor, steps=10)
    assert first.shape == best.shape == (2, 1) and (best >= first - 1e-12).all()
    np.testing.assert_allclose(found.weights.sum(1), 1)
    assert (found.weights > 0).all()
    np.testing.assert_allclose(bound_of(case, anchor, boxes, found, cuts), best, **CLOSE)
    alone = case._replace(spec=mixed(case.spec, found.weights))
    alone = bound_of(alone, anchor, boxes, found._replace(weights=None), cuts)
    np.testing.assert_allclose(alone, best, **CLOSE)
    rows = (rows_at(case, values) * found.weights).sum(2, keepdims=True)
    assert_no_point_below(rows, best, inside_the_split(values, boxes))


@pytest.mark.parametrize("name", CURVED)
def test_multipliers_of_a_part_without_points_climb_without_end(name):
    """A split that no input satisfies: the terms of its multiplier alone are positive, and ever more so."""
    case = engine_case(name, 84, batch=1, rows=1)
    pre = preactivations(case.engine, case.anchor)
    value = list(pre)[-1]
    box = pre[value]
    boxes = {**pre, value: Box(box.upper + 0.5, box.upper + 1.0)}
    cuts = {each: Cuts(*(np.full(end.shape, each == value) for end in pre[each])) for each in pre}
    bound, dual = -np.inf, start_dual(case.engine, pre, 1)
    for _ in range(20):
        bound, dual, _ = dual_bounds(case.engine, case.spec, boxes, dual, cuts, case.anchor, steps=20)
    assert bound.min() > 0


def test_splitting_every_neuron_leaves_a_linear_network():
    """With all signs fixed and good multipliers the bound reaches the value at the sampled minimum's side: here it is
    enough that it never passes it, and that it is finite."""
    case, anchor, boxes, cuts, values = split_case("gemm_only", 85, share=1.0)
    start = start_dual(case.engine, boxes, 3)
    best = dual_bounds(case.engine, case.spec, boxes, start, cuts, anchor, steps=50).bound
    assert np.isfinite(best).all()
    assert_no_point_below(rows_at(case, values), best, inside_the_split(values, boxes))


@pytest.mark.parametrize(("name", "over"), SETS)
def test_what_there_is_to_see_of_a_bound(name, over):
    case, anchor, boxes, cuts, _ = split_case(name, 86, over=over)
    dual = random_dual(boxes, 3, case.rng)
    seen = dual_bounds(case.engine, case.spec, boxes, dual, cuts, anchor, look=True).shown()
    lines = relax(case.engine, boxes, dual.slopes)
    found = substituted(case.engine, case.engine.output, case.spec.rows, lines, anchor, dual.multipliers)
    for each, met in found.met.items():
        np.testing.assert_allclose(seen.met[each], met, **CLOSE)
    reached = found.value + (found.coef * (seen.corner - anchor.centre[:, None])).sum(2)
    slack = 1e-2 * abs(reached).max() if over == Norm.L2 else 1e-9  # not every step towards the least is taken
    np.testing.assert_allclose(reached, found.least(anchor), rtol=0, atol=slack)
    assert (
        (seen.corner >= anchor.box.lower[:, None] - 1e-12) & (seen.corner <= anchor.box.upper[:, None] + 1e-12)
    ).all()


@pytest.mark.parametrize("name", WITH_NONLINEARITY)
def test_impact_is_what_the_lines_of_both_sides_may_win_back(name):
    """Nowhere negative but for rounding, infinite only where a split changes nothing, and 0 where no row looks."""
    case, anchor, boxes, cuts, _ = split_case(name, 87)
    dual = start_dual(case.engine, boxes, 3)
    seen = dual_bounds(case.engine, case.spec, boxes, dual, cuts, anchor, look=True).shown()
    impact = split_impact(case.engine, boxes, dual, seen.met)
    nothing = split_impact(case.engine, boxes, dual, {n: np.zeros_like(met) for n, met in seen.met.items()})
    for each, box in boxes.items():
        unstable = case.engine.bends[each].function.unstable(box)
        assert impact[each].shape == unstable.shape
        assert (impact[each][~unstable] == -np.inf).all()
        divisible = impact[each] > -np.inf
        assert (impact[each][divisible] >= -1e-12).all() and (nothing[each][divisible] == 0).all()


@pytest.mark.parametrize(("name", "over"), SETS)
def test_both_sides_of_a_split_are_the_bounds_of_its_parts(name, over):
    case, anchor, boxes, cuts, _ = split_case(name, 88, over=over, rows=1)
    dual = of_the_cuts(random_dual(boxes, 1, case.rng), cuts)._replace(weights=np.ones((2, 1)))
    unstable = [case.engine.bends[each].function.unstable(box) for each, box in boxes.items()]
    splits = [np.flatnonzero(row) for row in np.concatenate(unstable, 1)]
    assert any(map(len, splits))
    neurons = np.array([[each[0], each[-1], -1] if len(each) else [-1, -1, -1] for each in splits])
    sides = split_sides(case.engine, case.spec, boxes, dual, cuts, anchor, neurons)
    assert sides.shape == (2, 3, 2)
    for b, v, side in np.ndindex(2, 2, 2):
        if neurons[b, v] < 0:
            continue
        at, parts, moved = neurons[b, v], dict(boxes), dict(cuts)
        for each, box in boxes.items():
            if 0 <= at < box.lower.shape[1]:
                lower, upper, low, high = (np.copy(end) for end in (*box, *cuts[each]))
                cut = case.engine.bends[each].function.cut(box)[b, at]
                (upper if side else lower)[b, at] = cut
                (high if side else low)[b, at] = True
                parts[each], moved[each] = Box(lower, upper), Cuts(low, high)
            at -= box.lower.shape[1]
        expected = bound_of(case, anchor, parts, dual, moved)[b, 0]
        np.testing.assert_allclose(sides[b, v, side], expected, **CLOSE)


@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("name", WITH_RELU)
def test_compiled_and_in_numpy_alike(name, weighted, monkeypatch):
    """Down to what an ascent ends with."""
    case, anchor, boxes, cuts, _ = split_case(name, 89, radius=0.5)
    if not case.engine.compiled:
        pytest.skip(case.engine.why)
    dual = of_the_cuts(random_dual(boxes, 1 if weighted else 3, case.rng, 0.1), cuts)
    if weighted:
        dual = dual._replace(weights=np.full((2, 3), 1 / 3))
    spec = case.spec._replace(offset=case.spec.offset - 100)  # none becomes positive, which ends an ascent
    given = (case.engine, spec, boxes, dual, cuts, anchor)
    one = dual_bounds(*given, look=True, steps=5)
    sides = split_sides(*given, np.arange(2)[:, None]) if weighted else None
    monkeypatch.setitem(vars(case.engine), "program", PlainRows(case.engine))
    other = dual_bounds(*given, look=True, steps=5)
    np.testing.assert_allclose(one.bound, other.bound, **CLOSE)
    for each in boxes:
        np.testing.assert_allclose(one.dual.slopes[each], other.dual.slopes[each], **CLOSE)
        np.testing.assert_allclose(one.dual.multipliers[each], other.dual.multipliers[each], **CLOSE)
        np.testing.assert_allclose(one.shown().met[each], other.shown().met[each], **CLOSE)
    if weighted:
        np.testing.assert_allclose(one.dual.weights, other.dual.weights, **CLOSE)
        np.testing.assert_allclose(split_sides(*given, np.arange(2)[:, None]), sides, **CLOSE)


def test_what_is_given_stays_as_it_is():
    """Also where the program's layout is that of the given arrays: one neuron, and a whole vector of boxes."""

    def one_neuron(rng):
        builder = Builder((3,), rng)
        return builder.finish(builder.gemm(builder.relu(builder.gemm("x", 1)), 2))

    case, anchor, boxes, cuts, _ = split_case("one", 94, batch=16, rows=1, radius=2.0, make=one_neuron)
    dual = of_the_cuts(random_dual(boxes, 1, case.rng), cuts)._replace(weights=np.ones((16, 1)))
    before = {name: (dual.slopes[name].copy(), dual.multipliers[name].copy()) for name in boxes}
    dual_bounds(case.engine, case.spec, boxes, dual, cuts, anchor, steps=5)
    for name, (slopes, multipliers) in before.items():
        np.testing.assert_array_equal(dual.slopes[name], slopes)
        np.testing.assert_array_equal(dual.multipliers[name], multipliers)
    np.testing.assert_array_equal(dual.weights, 1)
