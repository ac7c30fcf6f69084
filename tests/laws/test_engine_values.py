"""The engine's steps are the plain definition of the operators, forwards and back."""

import numpy as np
import pytest

from engine_cases import engine_case, values_at
from glscert.verifier.engine.steps import Affine
from random_graphs import CURVED, GRAPHS, Builder, arbitrary_convs


def assert_defined(case):
    engine, rng = case.engine, case.rng
    points = rng.normal(size=(1, 3, engine.inputs))
    values = engine.values(points[0])
    for name, expected in values_at(case, points).items():
        np.testing.assert_allclose(values[engine.number[name]], expected[0], rtol=1e-9, atol=1e-9)
    for step in engine.steps:
        if isinstance(step, Affine):
            coef, parts = rng.normal(size=(2, step.size)), [rng.normal(size=(2, engine.size(n))) for n in step.inputs]
            there = (coef * step.linear(*parts)).sum(1)
            back = sum((row * part).sum(1) for row, part in zip(step.back(coef), parts, strict=True))
            np.testing.assert_allclose(back, there, rtol=1e-9, atol=1e-9)
            assert (step.spread(*map(abs, parts)) >= abs(step.linear(*parts)) - 1e-9).all()


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
