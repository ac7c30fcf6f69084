"""Branch and bound on neurons: boxes within the given ones, around every value, and tighter than slopes make them."""

import numpy as np
import pytest
import torch

from cases import make_case, numpy_params, preactivations, single_params
from glscert.verifier.bounds import Box
from glscert.verifier.bounds.interval import exact_values, nonlinearities, piecewise_linear
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.ops import evaluate
from glscert.verifier.search.problem import Problem
from glscert.verifier.search.refinement import Refiner
from random_graphs import GRAPHS
from reference import forward

KINKED = [name for name, graph in GRAPHS.items() if name != "affine_only"]


def problem_of(name, seed=5):
    case = make_case(name, seed, batch=1, radius=0.5)
    known = preactivations(case, anchor(case.graph, case.params, case.box))
    pre = {value: Box(box.lower[0], box.upper[0]) for value, box in known.items()}
    box = Box(case.box.lower[0], case.box.upper[0])
    return case, Problem(0, 0, box, case.spec.rows[0], case.spec.offset[0], pre)


def refiner_of(case, memory=2**26):
    return Refiner(case.graph, case.params, single_params(case), memory)


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
    if not piecewise_linear(case.graph):
        return
    found, visited = done(refiner_of(case).boxes(stage, problem))
    points = problem.box.lower + (problem.box.upper - problem.box.lower) * torch.rand(500, *problem.box.lower.shape)
    values = forward(case.graph, numpy_params(case), points.double().numpy())
    assert set(found) == set(problem.pre)
    for value, (lower, upper) in found.items():
        assert (lower >= problem.pre[value].lower).all() and (upper <= problem.pre[value].upper).all()
        seen = torch.from_numpy(values[value])
        assert (seen >= lower - 1e-9).all() and (seen <= upper + 1e-9).all()
    assert visited == 0 if stage == 0 else visited >= 0


@pytest.mark.parametrize("name", ("gemm_only", "dense_residual", "pooled"))
def test_many_subdomains_tell_more_than_few(name):
    case, problem = problem_of(name)
    refiner = refiner_of(case)
    gains = [refiner.gain(problem.pre, done(refiner.boxes(stage, problem))[0]) for stage in (0, 1, 4)]
    assert gains[0] >= 0 and gains[1] > 0 and gains[2] >= gains[1] - 1e-6


def test_it_finds_the_range_of_small_networks():
    """Where every pattern of signs is looked at, a bound is the least value but for float32's rounding."""
    rng = np.random.default_rng(0)
    case, problem = problem_of("gemm_only")
    found, _ = done(refiner_of(case).boxes(6, problem))
    inside = [value for value in found if value not in exact_values(case.graph)]
    assert inside
    points = torch.from_numpy(rng.uniform(size=(200_000, *problem.box.lower.shape)))
    points = torch.where(torch.from_numpy(rng.random(points.shape) < 0.5), points.round(), points)  # corners as well
    points = problem.box.lower + (problem.box.upper - problem.box.lower) * points
    operators, tight = nonlinearities(case.graph), 0
    for value in inside:
        seen = evaluate(case.graph.upto(value), case.params, points)
        unstable = operators[value].unstable(found[value]).flatten()
        for end, least in ((found[value].lower, seen.amin(0)), (-found[value].upper, (-seen).amin(0))):
            gap = (least - end.flatten())[unstable]
            assert (gap > -1e-9).all()
            tight += int((gap < 0.05 * seen.std()).sum())
    assert tight > 0


@pytest.mark.parametrize("name", KINKED)
def test_a_part_of_a_graph_computes_the_value(name):
    case, problem = problem_of(name)
    points = problem.box.lower + (problem.box.upper - problem.box.lower) * torch.rand(3, *problem.box.lower.shape)
    values = forward(case.graph, numpy_params(case), points.double().numpy())
    for value in problem.pre:
        part = case.graph.upto(value)
        assert part.output_shape == (values[value][0].size,)
        assert set(part.shapes) == {part.input, *(node.output for node in part.nodes)}
        found = evaluate(part, case.params, points.double())
        assert torch.allclose(found, torch.from_numpy(values[value]).flatten(1), atol=1e-9)


def test_bounds_that_are_not_numbers_change_nothing():
    case, problem = problem_of("gemm_only")
    params = {name: value * 1e200 for name, value in case.params.items()}
    refiner = Refiner(case.graph, params, {name: value.float() for name, value in params.items()}, 2**26)
    found, _ = done(refiner.boxes(1, problem))
    for value, box in problem.pre.items():
        assert torch.equal(found[value].lower, box.lower) and torch.equal(found[value].upper, box.upper)


def test_prices_grow_and_nothing_to_do_has_none():
    case, problem = problem_of("gemm_only")
    refiner = refiner_of(case)
    prices = [refiner.price(stage, problem.pre) for stage in range(4)]
    assert 0 < prices[0] < prices[1] < prices[2] < prices[3] < float("inf")
    stable = {value: Box(box.lower.abs(), box.upper.abs() + 1) for value, box in problem.pre.items()}
    assert refiner.price(0, stable) == float("inf")
