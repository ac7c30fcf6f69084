"""Interval images hold every value; over balls those of affine values are what each row finds for itself."""

import numpy as np
import pytest

from engine_cases import engine_case, points_in, random_ball, values_at
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.images import affine_images, images
from glscert.verifier.region import Norm
from random_graphs import CURVED, GRAPHS
from reference import dense, ibp_boxes


def numbers(engine):
    return {name: number for name, number in engine.number.items() if name in engine.graph.shapes}


@pytest.mark.parametrize("name", GRAPHS)
def test_images_are_the_references(name):
    case = engine_case(name, 61)
    found, network = images(case.engine, case.box), dense(case.engine.graph, case.engine.params)
    for b in range(len(case.box.lower)):
        for value, ends in ibp_boxes(network, case.box.lower[b], case.box.upper[b]).items():
            for end, expected in zip(found[case.engine.number[value]], ends, strict=True):
                np.testing.assert_allclose(end[b], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CURVED)
def test_images_of_curves_hold_the_values(name):
    case = engine_case(name, 62, radius=0.5)
    found = images(case.engine, case.box)
    for value, seen in values_at(case, points_in(case.box, case.rng)).items():
        lower, upper = found[case.engine.number[value]]
        assert (seen >= lower - 1e-9).all() and (seen <= upper + 1e-9).all()


@pytest.mark.parametrize("norm", (Norm.L1, Norm.L2))
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_over_a_ball_affine_values_are_tighter_and_hold_the_values(name, norm):
    case = engine_case(name, 63)
    box, ball = random_ball(case, norm)
    plain, found = images(case.engine, box), affine_images(case.engine, Anchor(box, ball))
    toward = case.rng.normal(size=(300, *box.lower.shape))
    points = np.stack([ball.lowest(slope) for slope in toward])
    values = values_at(case, points)
    for value, number in numbers(case.engine).items():
        if number in found:
            assert (found[number].lower >= plain[number].lower - 1e-9).all()
            assert (found[number].upper <= plain[number].upper + 1e-9).all()
            assert (values[value] >= found[number].lower - 1e-9).all()
            assert (values[value] <= found[number].upper + 1e-9).all()
    bent = {bend.into for bend in case.engine.bends.values()}
    assert found.keys() >= (bent & case.engine.affine) - {0}
