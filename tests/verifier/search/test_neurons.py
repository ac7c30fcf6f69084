"""Branch and bound on neurons: boxes within the given ones, around every value, and tighter than slopes make them."""

import numpy as np
import pytest

from engine_cases import engine_case, points_in, preactivations, values_at
from glscert.verifier.engine.engine import Engine
from glscert.verifier.functions import Box
from glscert.verifier.search.problem import Problem
from glscert.verifier.search.refinement import Refiner
from random_graphs import GRAPHS

KINKED = [name for name, graph in GRAPHS.items() if name != "affine_only"]


def problem_of(name, seed=5):
    case = engine_case(name, seed, batch=1, radius=0.5)
    pre = {n: Box(box.lower[0], box.upper[0]) for n, box in preactivations(case.engine, case.anchor).items()}
    return case, Problem(0, 0, Box(*(end[0] for end in case.box)), case.spec.rows[0], case.spec.offset[0], pre)


def refiner_of(case, memory=2**26):
    return Refiner(case.engine, memory)


def sampled(case, count=500):
    """Values [S, n] by name."""
    return {name: value[:, 0] for name, value in values_at(case, points_in(case.box, case.rng, count)).items()}


def done(work):
    """What a generator returns, and the sum of what it yielded."""
    total = 0
    while True:
        try:
            total += next(work)
        except StopIteration as over:
            return over.value, total


@pytest.mark.parametrize("stage", (0, 1, 2))
@pytest.mark.parametrize("name", KINKED)
def test_within_the_given_boxes_and_around_the_values(name, stage):
    case, problem = problem_of(name)
    if not case.engine.piecewise_linear:
        return
    found, visited = done(refiner_of(case).boxes(stage, problem))
    values = sampled(case)
    assert set(found) == set(problem.pre)
    for value, (lower, upper) in found.items():
        assert (lower >= problem.pre[value].lower).all() and (upper <= problem.pre[value].upper).all()
        assert (values[value] >= lower - 1e-9).all() and (values[value] <= upper + 1e-9).all()
    assert visited == 0 if stage == 0 else visited >= 0


@pytest.mark.parametrize("name", ("gemm_only", "dense_residual", "pooled"))
def test_many_subdomains_tell_more_than_few(name):
    case, problem = problem_of(name)
    refiner = refiner_of(case)
    gains = [refiner.gain(problem.pre, done(refiner.boxes(stage, problem))[0]) for stage in (0, 1, 4)]
    assert gains[0] >= 0 and gains[1] > 0 and gains[2] >= gains[1] - 1e-6


def test_it_finds_the_range_of_small_networks():
    """Where every pattern of signs is looked at, a bound is the least value but for float32's rounding."""
    case, problem = problem_of("gemm_only")
    found, _ = done(refiner_of(case).boxes(6, problem))
    inside = [value for value in found if value not in case.engine.exact]
    assert inside
    points = case.rng.uniform(size=(200_000, 1, case.engine.inputs))
    points = np.where(case.rng.random(points.shape) < 0.5, points.round(), points)  # corners as well
    values, tight = values_at(case, case.box.lower + (case.box.upper - case.box.lower) * points), 0
    for value in inside:
        seen = values[value][:, 0]
        unstable = case.engine.bends[value].function.unstable(found[value])
        for end, least in ((found[value].lower, seen.min(0)), (-found[value].upper, (-seen).min(0))):
            gap = (least - end)[unstable]
            assert (gap > -1e-9).all()
            tight += int((gap < 0.05 * seen.std()).sum())
    assert tight > 0


@pytest.mark.parametrize("name", KINKED)
def test_a_part_of_an_engine_computes_the_value(name):
    case, problem = problem_of(name)
    points = points_in(case.box, case.rng, 3)
    values = values_at(case, points)
    for value in problem.pre:
        part = case.engine.upto(value)
        assert part.outputs == values[value].shape[2]
        assert np.allclose(part.evaluate(points[:, 0]), values[value][:, 0], atol=1e-9)


def test_bounds_that_are_not_numbers_change_nothing():
    case, problem = problem_of("gemm_only")
    params = {name: value * 1e200 for name, value in case.engine.params.items()}
    with np.errstate(over="ignore"):
        refiner = Refiner(Engine(case.engine.graph, params), 2**26)
        found, _ = done(refiner.boxes(1, problem))
    for value, box in problem.pre.items():
        assert (found[value].lower == box.lower).all() and (found[value].upper == box.upper).all()


def test_prices_grow_and_nothing_to_do_has_none():
    case, problem = problem_of("gemm_only")
    refiner = refiner_of(case)
    prices = [refiner.price(stage, problem.pre) for stage in range(4)]
    assert 0 < prices[0] < prices[1] < prices[2] < prices[3] < float("inf")
    stable = {value: Box(abs(box.lower), abs(box.upper) + 1) for value, box in problem.pre.items()}
    assert refiner.price(0, stable) == float("inf")
