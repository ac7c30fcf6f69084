"""Bounds of neurons, by lines of their box or of their own, are those of back-substitution, and no point beats them."""

import numpy as np
import pytest

from engine_cases import engine_case, points_in, preactivations, random_ball, values_at
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.errors import analysed
from glscert.verifier.engine.neuron_rows import Neurons, climbed, neuron_bounds
from glscert.verifier.engine.substitution import relax
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]


@pytest.mark.parametrize("over", ("box", Norm.L2, Norm.L1))
@pytest.mark.parametrize("name", (*WITH_RELU, *CURVED))
def test_by_lines_that_a_box_shares(name, over):
    """In any order of the rows; less by the errors where these are given."""
    case = engine_case(name, 110, batch=3)
    anchor = Anchor(case.box) if over == "box" else Anchor(*random_ball(case, over))
    pre, rng = preactivations(case.engine, anchor), case.rng
    errors, earlier = analysed(case.engine, anchor, pre), {}
    for value, known in pre.items():
        size = known.lower.shape[1]
        box, entry = rng.integers(0, 3, 2 * size), rng.integers(0, size, 2 * size)
        neurons = Neurons(value, entry, rng.choice([-1.0, 1.0], 2 * size), box)
        found = neuron_bounds(case.engine, neurons, relax(case.engine, earlier), anchor)
        expected = np.where(neurons.sign > 0, known.lower[box, entry], -known.upper[box, entry])
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
        less = neuron_bounds(case.engine, neurons, relax(case.engine, earlier), anchor, errors)
        assert (less <= found).all() and (less >= found - 1e-6).all()
        assert (less < found).any()
        earlier[value] = known


@pytest.mark.parametrize("over", ("box", Norm.L2))
@pytest.mark.parametrize("name", WITH_RELU)
def test_by_slopes_of_their_own_that_climb(name, over):
    case = engine_case(name, 111, batch=1, radius=0.5)
    anchor = Anchor(case.box) if over == "box" else Anchor(*random_ball(case, over))
    pre, engine = preactivations(case.engine, anchor), case.engine
    value = list(pre)[-1]
    known = {each: box for each, box in pre.items() if engine.bends[each].into < engine.bends[value].into}
    size = pre[value].lower.shape[1]
    neurons = Neurons(value, np.arange(size).repeat(2), np.tile([1.0, -1.0], size))
    live = {each: np.flatnonzero(engine.bends[each].function.unstable(box)[0]) for each, box in known.items()}
    lines = relax(engine, known)
    plain = neuron_bounds(engine, neurons, lines, anchor)
    best, slopes = climbed(engine, neurons, lines, anchor, live, steps=5)
    assert (best >= plain - 1e-12).all()
    for each, slope in slopes.items():
        assert slope.shape == (2 * size, len(live[each])) and ((slope >= 0) & (slope <= 1)).all()
    again, _ = climbed(engine, neurons, lines, anchor, live, slopes=slopes)
    np.testing.assert_allclose(again, best, rtol=1e-11, atol=1e-11)
    less, _ = climbed(engine, neurons, lines, anchor, live, slopes=slopes, errors=analysed(engine, anchor, pre))
    assert (less <= again).all() and (less >= again - 1e-6).all()
    if over == "box":
        points = points_in(anchor.box, case.rng)
    else:
        points = np.stack([anchor.ball.lowest(slope) for slope in case.rng.normal(size=(200, 1, engine.inputs))])
    seen = values_at(case, points)[value][:, 0, neurons.entry] * neurons.sign
    assert (seen >= best - 1e-9).all()
