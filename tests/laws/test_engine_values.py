"""The engine's steps are the plain definition of the operators, forwards and back."""

import numpy as np
import pytest

from engine_cases import engine_case, values_at
from glscert.verifier.engine.steps import Affine
from random_graphs import CURVED, GRAPHS, Builder, arbitrary_convs


def assert_defined(case):
    """Values are the operators'; of every step, back is the transpose, the spread has the matrix's sizes, and no sum is
    of more products than is said."""
    engine, rng = case.engine, case.rng
    points = rng.normal(size=(1, 3, engine.inputs))
    values = engine.values(points[0])
    for name, expected in values_at(case, points).items():
        np.testing.assert_allclose(values[engine.number[name]], expected[0], rtol=1e-9, atol=1e-9)
    for step in engine.steps:
        if not isinstance(step, Affine):
            continue
        sizes = [engine.size(number) for number in step.inputs]
        coef, radii, spread = rng.normal(size=(2, step.size)), [rng.random((2, size)) for size in sizes], 0
        for place, part in enumerate(step.back(coef)):
            units = [
                np.eye(sizes[place]) if n == place else np.zeros((sizes[place], size)) for n, size in enumerate(sizes)
            ]
            matrix = step.linear(*units)  # [in, out]
            np.testing.assert_allclose(part, coef @ matrix.T, rtol=1e-10, atol=1e-12)
            assert max((matrix != 0).sum(axis).max() for axis in (0, 1)) <= step.terms
            spread = spread + radii[place] @ abs(matrix)
        np.testing.assert_allclose(step.spread(*radii), spread, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_all_operators(name):
    assert_defined(engine_case(name, 200))


def test_arbitrary_convolutions():
    for seed in range(300):
        assert_defined(engine_case("arbitrary", seed, make=arbitrary_convs))


def test_a_kernel_as_large_as_its_map_that_does_not_lie_on_it():
    """As many taps as the map has places, some of them in the padding."""

    def shifted(rng):
        b = Builder((2, 2, 3), rng)
        x = b.relu(b.conv("x", 4, (2, 3), (3, 3), (0, 1, 0, 0)))
        return b.finish(b.gemm(b.flatten(x), 3))

    assert_defined(engine_case("shifted", 201, make=shifted))


def test_a_transposed_convolution_of_one_place_that_sees_nothing():
    def unseen(rng):
        b = Builder((2, 1, 1), rng)
        x = b.conv_transpose("x", 3, (1, 1), (3, 3), (0, 0, 0, 0), extra=(1, 1))
        x = b.conv_transpose(x, 2, (2, 1), (1, 1), (1, 1, 1, 0))
        return b.finish(b.gemm(b.flatten(x), 3))

    assert_defined(engine_case("unseen", 202, make=unseen))


def test_one_weight_for_each_channel():
    def channelwise(rng):
        b = Builder((2, 3, 3), rng)
        return b.finish(b.conv(b.relu(b.conv("x", 2, (1, 1), group=2)), 4, (1, 1), group=2))

    assert_defined(engine_case("channelwise", 203, make=channelwise))


@pytest.mark.parametrize("name", ("deep_convs", "groups_and_dilation", "decoder", "residual"))
def test_many_at_once_in_either_order(name):
    """More than lie side by side, by input or by entry."""
    case = engine_case(name, 204)
    for engine in (case.engine, case.engine.single):
        for step in (step for step in engine.steps if isinstance(step, Affine)):
            values = [case.rng.normal(size=(700, engine.size(n))).astype(engine.dtype) for n in step.inputs]
            coef = case.rng.normal(size=(700, step.size)).astype(engine.dtype)
            found, back = step.forward(*values), step.back(coef)
            turned, around = step.forward(*map(np.asfortranarray, values)), step.back(np.asfortranarray(coef))
            alone = np.concatenate([step.forward(*(value[[row]] for value in values)) for row in (0, 350, 699)])
            room = 1e-4 if engine is case.engine.single else 1e-12
            for one, other in ((found, turned), (found[[0, 350, 699]], alone), *zip(back, around, strict=True)):
                assert one.dtype == other.dtype == engine.dtype
                np.testing.assert_allclose(one, other, rtol=room, atol=room)
