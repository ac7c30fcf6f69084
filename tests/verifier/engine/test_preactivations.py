"""Boxes of unstable neurons alone: as tight as DeepPoly over the same earlier boxes or tighter, never past a sample."""

import numpy as np
import pytest

from engine_cases import engine_case, points_in, random_ball, values_at
from glscert.verifier.engine import preactivations
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.errors import Errors, analysed
from glscert.verifier.engine.preactivations import relaxed
from glscert.verifier.engine.substitution import relax, substituted
from glscert.verifier.engine.zonotope import input_zonotope, through
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]


def found_in(case, anchor=None, **options):
    anchor = anchor or case.anchor
    pre, lines = relaxed(case.engine, anchor, Errors(case.engine, anchor), **options)
    assert list(pre) == list(lines) == list(case.engine.bends)
    return pre


@pytest.mark.parametrize("name", WITH_RELU)
@pytest.mark.parametrize("radius", (0.0, 0.05, 0.5))
def test_equal_or_tighter_where_it_matters_and_sound(name, radius):
    """A neuron that the interval already finds stable may keep the wider box: its ReLU is exact either way.

    Against DeepPoly from scratch it may lose: a tighter box can tip the choice of an earlier slope.
    """
    case = engine_case(name, 11, radius=radius)
    found, values, earlier = found_in(case), values_at(case, points_in(case.box, case.rng)), {}
    for value, box in found.items():
        bend = case.engine.bends[value]
        rows = np.concatenate([np.eye(bend.size), -np.eye(bend.size)])[None]
        least = substituted(case.engine, bend.into, rows, relax(case.engine, earlier), case.anchor).least(case.anchor)
        earlier[value] = box
        unstable = (box.lower < 0) & (box.upper > 0)
        assert (box.lower >= least[:, : bend.size] - 1e-9)[unstable].all()
        assert (box.upper <= -least[:, bend.size :] + 1e-9)[unstable].all()
        assert (values[value] >= box.lower).all() and (values[value] <= box.upper).all()


@pytest.mark.parametrize("norm", ("box", Norm.L2, Norm.L1))
@pytest.mark.parametrize("name", [*WITH_RELU, *CURVED])
def test_boxes_hold_the_values(name, norm):
    case = engine_case(name, 32, batch=3, radius=0.5)
    anchor, points = case.anchor, points_in(case.box, case.rng)
    if norm != "box":
        anchor = Anchor(*random_ball(case, norm, radius=0.5))
        lowest = [anchor.ball.lowest(slope) for slope in case.rng.normal(size=(200, *case.box.lower.shape))]
        points = np.concatenate([np.stack(lowest), anchor.centre[None]])
    found, values = found_in(case, anchor), values_at(case, points)
    errors = analysed(case.engine, anchor, found)
    for value, (lower, upper) in found.items():
        seen, number = values[value], case.engine.number[value]
        assert (seen >= lower - 1e-12).all() and (seen <= upper + 1e-12).all()
        assert (errors.sizes[number] >= abs(seen) - 1e-12).all()


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_no_point_leaves_a_zonotope(name):
    case = engine_case(name, 12, radius=0.4)
    values = {0: input_zonotope(case.box)}
    for step in case.engine.steps:
        values[step.out] = through(step, values, values[step.into].box() if hasattr(step, "into") else None)
    for value, seen in values_at(case, points_in(case.box, case.rng)).items():
        lower, upper = values[case.engine.number[value]].box()
        assert ((seen >= lower - 1e-9) & (seen <= upper + 1e-9)).all()


@pytest.mark.parametrize("name", ("gemm_only", "residual", "pooled", "sigmoids"))
def test_boxes_after_zonotopes_are_sound(name, monkeypatch):
    case = engine_case(name, 13, radius=0.1)
    monkeypatch.setattr(preactivations, "_NEURONS", 1e-9)
    found = found_in(case)
    values = values_at(case, points_in(case.box, case.rng))
    for value, box in found.items():
        assert ((values[value] >= box.lower - 1e-9) & (values[value] <= box.upper + 1e-9)).all()


@pytest.mark.parametrize("name", ("conv_chain", "residual", "sigmoids"))
def test_parts_of_the_memory_change_nothing_and_a_stop_leaves_the_interval(name, monkeypatch):
    case = engine_case(name, 14, batch=3, radius=0.4)
    ample = found_in(case)
    monkeypatch.setattr(type(case.engine), "compiled", False)
    scarce, stopped = found_in(case, memory=1), found_in(case, stop=lambda: True)
    for value, box in ample.items():
        for end, other in zip(box, scarce[value], strict=True):
            np.testing.assert_allclose(end, other, rtol=0, atol=1e-12)
        assert (stopped[value].lower <= box.lower + 1e-12).all() and (stopped[value].upper >= box.upper - 1e-12).all()


def test_signs_that_are_known_are_kept():
    case = engine_case("gemm_only", 15, radius=0.5)
    plain = found_in(case)
    signs = {value: np.where(box.lower + box.upper > 0, 1, -1).astype(np.int8) for value, box in plain.items()}
    for value, box in found_in(case, signs=signs).items():
        if value not in case.engine.exact:
            assert (box.lower[signs[value] > 0] >= 0).all() and (box.upper[signs[value] < 0] <= 0).all()
