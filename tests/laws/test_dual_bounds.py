"""α and β: whatever slopes in [0, 1] and multipliers >= 0 are taken, no point of the (split) box beats the bound."""

import numpy as np
import pytest
import torch

from cases import make_case, random_dual, random_splits, sampled
from glscert.verifier.bounds import RELAXATIONS, Box
from glscert.verifier.bounds.beta_crown import Cuts, dual_bound, start_dual, tighten
from glscert.verifier.bounds.deeppoly import deeppoly
from glscert.verifier.bounds.substitution import anchor
from random_graphs import CURVED, GRAPHS

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
WITH_NONLINEARITY = [*WITH_RELU, *CURVED]


def inside_the_split(values, boxes):
    """Which of the sampled points [S, B] lie within the boxes."""
    within = [((values[n] >= box.lower) & (values[n] <= box.upper)).flatten(2).all(-1) for n, box in boxes.items()]
    return torch.stack(within).all(0)


def assert_no_point_below(rows, bound, inside=None):
    gap = rows - bound
    if inside is not None:
        assert inside.any()
        gap = gap[inside]
    assert gap.min() >= -1e-9 * max(1.0, float(rows.abs().max()))


@pytest.mark.parametrize("name", WITH_NONLINEARITY)
def test_any_slopes_are_sound(name):
    case = make_case(name, 80)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    slopes = random_dual(pre, 1).slopes
    bounds = deeppoly(case.graph, case.params, case.box, case.spec, slopes=slopes)
    values, rows = sampled(case)
    assert_no_point_below(rows, bounds.lower)
    for value, box in bounds.pre.items():
        assert (values[value] >= box.lower - 1e-9).all()
        assert (values[value] <= box.upper + 1e-9).all()


@pytest.mark.parametrize("scale", (0.1, 3.0))
@pytest.mark.parametrize("name", WITH_NONLINEARITY)
def test_any_multipliers_are_sound_on_the_split_box(name, scale):
    case = make_case(name, 81)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    values, rows = sampled(case)
    boxes, cuts = random_splits(case.graph, pre, values, times=2)
    dual = random_dual(pre, case.spec.rows.shape[1], scale)
    base = anchor(case.graph, case.params, case.box)
    bound = dual_bound(case.graph, case.params, base, case.spec, boxes, dual, cuts)
    assert_no_point_below(rows, bound, inside_the_split(values, boxes))


@pytest.mark.parametrize("name", WITH_NONLINEARITY)
def test_tightening_gains_and_stays_sound(name):
    case = make_case(name, 82)
    plain = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec)
    values, rows = sampled(case)
    boxes, cuts = random_splits(case.graph, plain.pre, values)
    base = anchor(case.graph, case.params, case.box)
    start = start_dual(case.graph, plain.pre, case.spec.rows.shape[1])

    unsplit = dual_bound(case.graph, case.params, base, case.spec, plain.pre, start)
    assert torch.allclose(unsplit, plain.lower, rtol=0, atol=1e-10)  # no multipliers, least-area slopes: DeepPoly

    arguments = (case.graph, case.params, base, case.spec, boxes, start, cuts)
    first = dual_bound(*arguments)
    best, dual = tighten(*arguments, steps=10)
    assert (best >= first - 1e-12).all()
    assert torch.allclose(dual_bound(*arguments[:5], dual, cuts), best, rtol=0, atol=1e-10)
    assert all(((slope >= 0) & (slope <= 1)).all() for slope in dual.slopes.values())
    for each, multiplier in dual.multipliers.items():
        assert (cuts[each].upper.unsqueeze(1) | (multiplier <= 0)).all()
        assert (cuts[each].lower.unsqueeze(1) | (multiplier >= 0)).all()
    assert_no_point_below(rows, best, inside_the_split(values, boxes))


@pytest.mark.parametrize("name", CURVED)
def test_multipliers_of_a_part_without_points_climb_without_end(name):
    """A split that no input satisfies: the terms of its multiplier alone are positive, and ever more so."""
    case = make_case(name, 84, batch=1, rows=1)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    value = list(pre)[-1]
    box = pre[value]
    beyond = Box(box.upper + 0.5, box.upper + 1.0)
    boxes = {**pre, value: beyond}
    cuts = {each: Cuts(*(torch.full_like(end, each == value, dtype=torch.bool) for end in pre[each])) for each in pre}
    base = anchor(case.graph, case.params, case.box)
    start = start_dual(case.graph, pre, 1)
    best, _ = tighten(case.graph, case.params, base, case.spec, boxes, start, cuts, steps=200, decay=1.0)
    assert best.min() > 0


def test_splitting_every_neuron_leaves_a_linear_network():
    """With all signs fixed and good multipliers the bound reaches the value at the sampled minimum's side: here it is
    enough that it never passes it, and that it is finite."""
    case = make_case("gemm_only", 83)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    values, rows = sampled(case)
    boxes, cuts = random_splits(case.graph, pre, values, share=1.0)
    base = anchor(case.graph, case.params, case.box)
    start = start_dual(case.graph, pre, case.spec.rows.shape[1])
    best, _ = tighten(case.graph, case.params, base, case.spec, boxes, start, cuts, steps=50)
    assert np.isfinite(best.numpy()).all()
    assert_no_point_below(rows, best, inside_the_split(values, boxes))
