"""The optimum's dual and its point: equal bounds, never above a sample, no worse than ascent; proofs of empty parts."""

from dataclasses import replace

import numpy as np
import pytest

from engine_cases import engine_case, preactivations
from glscert.verifier.engine.dual import Dual, dual_bounds, start_dual
from glscert.verifier.engine.engine import Engine
from glscert.verifier.functions import Box
from glscert.verifier.graph import Graph, Node
from glscert.verifier.search import linear_program
from glscert.verifier.search.domains import Domain, Split, clip
from glscert.verifier.search.linear_program import TooLarge, solve
from glscert.verifier.search.problem import Problem, batch, rows_at
from glscert.verifier.search.proof import Prover
from random_graphs import GRAPHS
from reference import forward

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]
MEMORY = 2**24


def proves(engine, problem, domain, dual):
    """The domain's bound, and whether it is a proof."""
    ((bound, needed),) = Prover(engine, [problem], len(problem.rows)).bounds([domain], dual)
    return bound, bound > needed


def problem_of(case):
    pre = {name: Box(box.lower[0], box.upper[0]) for name, box in preactivations(case.engine, case.anchor).items()}
    return Problem(0, 0, Box(*(end[0] for end in case.box)), case.spec.rows[0], case.spec.offset[0], pre)


def values_of(engine, points):
    """By name, at points [S, n], by the plain definition of the operators."""
    values = forward(engine.graph, engine.params, points.reshape(-1, *engine.graph.input_shape))
    return {name: value.reshape(len(points), -1) for name, value in values.items()}


def part_of(case, problem, share):
    """A domain in which a share of the unstable neurons has the sign that it has at a random point of the box."""
    lower, upper = problem.box
    at = values_of(case.engine, (lower + (upper - lower) * case.rng.random(len(lower)))[None])
    splits = []
    for name, box in problem.pre.items():
        unstable = (box.lower < 0) & (box.upper > 0) & (case.rng.random(len(box.lower)) < share)
        for neuron in np.flatnonzero(unstable).tolist():
            splits.append(Split(name, neuron, 1 if at[name][0, neuron] >= 0 else -1, 0.0))
    return domain_of(problem, tuple(splits))


def domain_of(problem, splits):
    return Domain(0, splits, -np.inf, np.zeros(0), np.zeros(0), np.ones(len(problem.rows)))


def solved(engine, problem, domain, **options):
    """-> the optimum, its dual as a batch, the batch, and the boxes with their cuts."""
    work = batch(engine, [problem], len(problem.rows))
    boxes, cuts = clip(work.pre, [domain])
    own = {name: Box(box.lower[0], box.upper[0]) for name, box in boxes.items()}
    slopes = {name: np.zeros(len(box.lower)) for name, box in own.items()}
    optimum = solve(engine, problem, own, slopes, seconds=10.0, **{"memory": MEMORY, **options})
    assert optimum is not None
    kinds = ({n: v[None, None] for n, v in part.items()} for part in (optimum.slopes, optimum.multipliers))
    return optimum, Dual(*kinds, optimum.weights[None]), work, boxes, cuts


def bound_of(engine, dual, work, boxes, cuts):
    return dual_bounds(engine, work.spec, boxes, dual, cuts, work.anchor).bound[0, 0]


@pytest.mark.parametrize("rows", (1, 3))
@pytest.mark.parametrize("name", WITH_RELU)
def test_with_every_sign_the_bound_is_the_network_at_the_point(name, rows):
    case = engine_case(name, 60, batch=1, rows=rows, radius=0.5)
    problem = problem_of(case)
    optimum, dual, work, boxes, cuts = solved(case.engine, problem, part_of(case, problem, 2.0))
    bound = bound_of(case.engine, dual, work, boxes, cuts)
    assert (optimum.point >= problem.box.lower).all() and (optimum.point <= problem.box.upper).all()
    assert abs(bound - rows_at(work, optimum.point[None])[0]) < 1e-5
    assert abs(bound - optimum.value) < 1e-5
    assert abs(optimum.weights.sum() - 1) < 1e-6


@pytest.mark.parametrize("name", WITH_RELU)
def test_signs_that_come_in_as_they_are_broken_lead_to_the_same_optimum(name, monkeypatch):
    case = engine_case(name, 62, batch=1, rows=2, radius=0.5)
    problem = problem_of(case)
    domain = part_of(case, problem, 0.7)
    whole = solved(case.engine, problem, domain)
    monkeypatch.setattr(linear_program, "_ENTRIES", 0)
    monkeypatch.setattr(linear_program, "_LEAST", 1)
    few = solved(case.engine, problem, domain)
    assert abs(whole[0].value - few[0].value) < 1e-6
    assert abs(bound_of(case.engine, *whole[1:]) - bound_of(case.engine, *few[1:])) < 1e-5


@pytest.mark.parametrize("share", (0.0, 0.4))
@pytest.mark.parametrize("name", WITH_RELU)
def test_as_good_as_ascent_and_never_above_a_sample(name, share):
    case = engine_case(name, 61, batch=1, rows=2, radius=0.4)
    problem = problem_of(case)
    domain = part_of(case, problem, share)
    _, dual, work, boxes, cuts = solved(case.engine, problem, domain)
    bound = bound_of(case.engine, dual, work, boxes, cuts)
    start = start_dual(case.engine, boxes, 1)._replace(weights=np.full((1, 2), 0.5))
    climbed = dual_bounds(case.engine, work.spec, boxes, start, cuts, work.anchor, steps=40)
    assert bound >= climbed.bound[0, 0] - 1e-6

    lower, upper = problem.box
    points = lower + (upper - lower) * case.rng.random((3000, len(lower)))
    values = values_of(case.engine, points)
    inside = np.ones(len(points), bool)
    for name_, (low, high) in boxes.items():
        inside &= ((values[name_] >= low - 1e-9) & (values[name_] <= high + 1e-9)).all(1)
    rows = values[case.engine.graph.output] @ problem.rows.T + problem.offset
    assert (rows.max(1)[inside] >= bound - 1e-7).all()


def test_what_does_not_fit_into_the_memory_is_said_with_both_numbers():
    case = engine_case("gemm_only", 60, batch=1, rows=1)
    problem = problem_of(case)
    wide = replace(problem, rows=np.repeat(problem.rows, 4000, 0), offset=np.repeat(problem.offset, 4000))
    with pytest.raises(TooLarge, match=r"takes [0-9.]+ MiB of the 1 allowed; give more with --memory"):
        solved(case.engine, wide, part_of(case, wide, 2.0), memory=2**20)


@pytest.fixture
def apart():
    """y = relu(x - 0.1) + relu(-x - 0.1) on [-1, 1]: both neurons are positive nowhere."""
    nodes = (Node("Gemm", "a", ("x",), "z", ("w", "b"), {}), Node("Relu", "r", ("z",), "h", (), {}),
             Node("Gemm", "c", ("h",), "y", ("v",), {}))  # fmt: skip
    graph = Graph("x", "y", nodes, {"x": (1,), "z": (2,), "h": (2,), "y": (1,)})
    weights = {"w": [[1.0], [-1.0]], "b": [-0.1, -0.1], "v": [[1.0, 1.0]]}
    engine = Engine(graph, {name: np.array(value) for name, value in weights.items()})
    pre = {"z": Box(np.array([-1.1, -1.1]), np.array([0.9, 0.9]))}
    return engine, Problem(0, 0, Box(-np.ones(1), np.ones(1)), np.ones((1, 1)), np.full(1, -100.0), pre)


def test_a_part_without_a_point_is_proved_whatever_the_row(apart):
    engine, problem = apart
    domain = domain_of(problem, (Split("z", 0, 1, 0.0), Split("z", 1, 1, 0.0)))
    optimum, dual, *rest = solved(engine, problem, domain)
    assert optimum.point is None
    assert bound_of(engine, dual, *rest) > 1
    assert proves(engine, problem, domain, dual)[1]


def test_a_part_with_points_is_not(apart):
    engine, problem = apart
    domain = domain_of(problem, (Split("z", 0, 1, 0.0), Split("z", 1, -1, 0.0)))
    optimum, dual, *rest = solved(engine, problem, domain)
    assert optimum.point is not None
    assert float(bound_of(engine, dual, *rest)) == pytest.approx(-100, abs=1e-9)
    assert not proves(engine, problem, domain, dual)[1]


def test_multipliers_raise_what_a_proof_needs(apart):
    """A bound above zero, by terms so large that their rounding may be all of it."""
    engine, problem = apart
    slopes, one = {"z": np.ones((1, 1, 2))}, np.ones((1, 1))
    for size, needs in ((1.0, False), (1e15, True)):
        large = replace(problem, offset=size * problem.offset)
        domain = domain_of(large, (Split("z", 0, 1, 0.0), Split("z", 1, 1, 0.0)))
        multiplier = -502.0 * size if not needs else -500.0 * size * (1 + 2**-47)
        dual = Dual(slopes, {"z": np.full((1, 1, 2), multiplier)}, one)
        bound, proved = proves(engine, large, domain, dual)
        assert bound > 1e-9
        assert proved is not needs
