"""α and β: whatever slopes in [0, 1] and multipliers >= 0 are taken, no point of the (split) box beats the bound."""

import numpy as np
import pytest
import torch

from cases import make_case, numpy_params
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.bounds.beta_crown import Dual, dual_bound, start_dual, tighten
from glscert.verifier.bounds.deeppoly import deeppoly
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.search.domains import clip
from random_graphs import GRAPHS
from reference import forward

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]


def sampled(case, count=200):
    """Values by name [S, B, *v] at random points and corners, and the specification's rows there [S, B, M]."""
    lower, upper = case.box
    points = lower + (upper - lower) * torch.rand(count, *lower.shape, dtype=lower.dtype)
    corners = torch.where(torch.rand(count, *lower.shape) < 0.5, lower, upper)
    points = torch.cat([points, corners])
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    values = {name: torch.from_numpy(v).reshape(*points.shape[:2], *v.shape[1:]) for name, v in values.items()}
    rows = torch.einsum("bmk,sbk->sbm", case.spec.rows, values[case.graph.output]) + case.spec.offset
    return values, rows


def random_dual(pre, rows, scale=1.0):
    shape = {name: (len(box.lower), rows, *box.lower.shape[1:]) for name, box in pre.items()}
    return Dual(
        {name: torch.rand(size, dtype=torch.float64) for name, size in shape.items()},
        {name: scale * torch.rand(size, dtype=torch.float64) for name, size in shape.items()},
    )


def random_signs(pre, values, share=0.3):
    """Splits of some unstable neurons, to the sides on which one sampled point per image lies."""
    signs = {}
    for name, box in pre.items():
        chosen = (box.lower < 0) & (box.upper > 0) & (torch.rand(box.lower.shape) < share)
        signs[name] = torch.where(values[name][0] >= 0, 1.0, -1.0) * chosen
    return signs


def inside_the_split(values, signs):
    """Which of the sampled points [S, B] lie on the chosen sides."""
    agree = [(values[name] * sign >= 0).flatten(2).all(-1) for name, sign in signs.items()]
    return torch.stack(agree).all(0)


def assert_no_point_below(rows, bound, inside=None):
    gap = rows - bound
    if inside is not None:
        assert inside.any()
        gap = gap[inside]
    assert gap.min() >= -1e-9 * max(1.0, float(rows.abs().max()))


@pytest.mark.parametrize("name", WITH_RELU)
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
@pytest.mark.parametrize("name", WITH_RELU)
def test_any_multipliers_are_sound_on_the_split_box(name, scale):
    case = make_case(name, 81)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    values, rows = sampled(case)
    signs = random_signs(pre, values)
    dual = random_dual(pre, case.spec.rows.shape[1], scale)
    base = anchor(case.graph, case.params, case.box)
    bound = dual_bound(case.graph, case.params, base, case.spec, clip(pre, signs), dual, signs)
    assert_no_point_below(rows, bound, inside_the_split(values, signs))


@pytest.mark.parametrize("name", WITH_RELU)
def test_tightening_gains_and_stays_sound(name):
    case = make_case(name, 82)
    plain = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec)
    values, rows = sampled(case)
    signs = random_signs(plain.pre, values)
    base = anchor(case.graph, case.params, case.box)
    start = start_dual(case.graph, plain.pre, case.spec.rows.shape[1])

    unsplit = dual_bound(case.graph, case.params, base, case.spec, plain.pre, start)
    assert torch.allclose(unsplit, plain.lower, rtol=0, atol=1e-10)  # no multipliers, least-area slopes: DeepPoly

    arguments = (case.graph, case.params, base, case.spec, clip(plain.pre, signs), start, signs)
    first = dual_bound(*arguments)
    best, dual = tighten(*arguments, steps=10)
    assert (best >= first - 1e-12).all()
    assert torch.allclose(dual_bound(*arguments[:5], dual, signs), best, rtol=0, atol=1e-10)
    assert all(((slope >= 0) & (slope <= 1)).all() for slope in dual.slopes.values())
    assert all((multiplier >= 0).all() for multiplier in dual.multipliers.values())
    assert_no_point_below(rows, best, inside_the_split(values, signs))


def test_splitting_every_neuron_leaves_a_linear_network():
    """With all signs fixed and good multipliers the bound reaches the value at the sampled minimum's side: here it is
    enough that it never passes it, and that it is finite."""
    case = make_case("gemm_only", 83)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    values, rows = sampled(case)
    signs = random_signs(pre, values, share=1.0)
    base = anchor(case.graph, case.params, case.box)
    start = start_dual(case.graph, pre, case.spec.rows.shape[1])
    best, _ = tighten(case.graph, case.params, base, case.spec, clip(pre, signs), start, signs, steps=50)
    assert np.isfinite(best.numpy()).all()
    assert_no_point_below(rows, best, inside_the_split(values, signs))
