"""The optimum's dual and its point: equal bounds, never above a sample, no worse than ascent; proofs of empty parts."""

from dataclasses import replace

import pytest
import torch

from cases import make_case, numpy_params, preactivations
from glscert.verifier.bounds.beta_crown import Dual, dual_bound, start_dual, tighten
from glscert.verifier.bounds.substitution import anchor
from glscert.verifier.graph import Graph, Node
from glscert.verifier.ops import Box, evaluate
from glscert.verifier.search.domains import Domain, Split, clip
from glscert.verifier.search.linear_program import solve
from glscert.verifier.search.problem import Problem, batch
from glscert.verifier.search.proof import Prover
from random_graphs import GRAPHS
from reference import forward

WITH_RELU = [name for name in GRAPHS if name != "affine_only"]


def proves(case, problem, domain, dual):
    """The domain's bound, and whether it is a proof."""
    ((bound, needed),) = Prover(case.graph, case.params, [problem]).bounds([domain], dual)
    return bound, bound > needed


def problem_of(case):
    base = anchor(case.graph, case.params, case.box)
    known = preactivations(case, base)
    pre = {name: Box(box.lower[0], box.upper[0]) for name, box in known.items()}
    box = Box(case.box.lower[0], case.box.upper[0])
    return Problem(0, 0, box, case.spec.rows[0], case.spec.offset[0], pre)


def part_of(case, problem, share):
    """A domain in which a share of the unstable neurons has the sign that it has at a random point of the box."""
    lower, upper = problem.box
    at = forward(case.graph, numpy_params(case), (lower + (upper - lower) * torch.rand(lower.shape))[None].numpy())
    splits = []
    for name, box in problem.pre.items():
        value = torch.from_numpy(at[name]).flatten()
        unstable = (box.lower < 0) & (box.upper > 0) & (torch.rand(box.lower.shape) < share)
        for neuron in unstable.flatten().nonzero().flatten().tolist():
            splits.append(Split(name, neuron, 1 if value[neuron] >= 0 else -1, 0.0))
    return domain_of(problem, tuple(splits))


def domain_of(problem, splits):
    none = {name: torch.zeros(1, *box.lower.shape) for name, box in problem.pre.items()}
    return Domain(0, splits, -torch.inf, none, none, torch.ones(len(problem.rows)))


def solved(case, problem, domain):
    """-> the optimum, its dual as a batch, and what else `dual_bound` needs."""
    work = batch(case.graph, case.params, [problem], len(problem.rows))
    boxes, cuts = clip(work.pre, [domain])
    single = {name: Box(*(end[0] for end in box)) for name, box in boxes.items()}
    optimum = solve(case.graph, case.params, problem, single, domain.slopes, seconds=10.0)
    assert optimum is not None
    dual = Dual(*({n: v[None] for n, v in part.items()} for part in optimum[1:3]), optimum.weights[None])
    return optimum, dual, (case.graph, work.params, work.base, work.spec, boxes), cuts


def largest_row(case, problem, points):
    outputs = evaluate(case.graph, case.params, points)
    return (outputs @ problem.rows.T + problem.offset).amax(1)


@pytest.mark.parametrize("rows", (1, 3))
@pytest.mark.parametrize("name", WITH_RELU)
def test_with_every_sign_the_bound_is_the_network_at_the_point(name, rows):
    torch.manual_seed(1)
    case = make_case(name, 60, batch=1, rows=rows, radius=0.5)
    problem = problem_of(case)
    optimum, dual, arguments, cuts = solved(case, problem, part_of(case, problem, 2.0))
    bound = dual_bound(*arguments, dual, cuts)[0, 0]
    assert (optimum.point >= problem.box.lower).all() and (optimum.point <= problem.box.upper).all()
    assert abs(bound - largest_row(case, problem, optimum.point[None])[0]) < 1e-5
    assert abs(optimum.weights.sum() - 1) < 1e-6


@pytest.mark.parametrize("share", (0.0, 0.4))
@pytest.mark.parametrize("name", WITH_RELU)
def test_as_good_as_ascent_and_never_above_a_sample(name, share):
    torch.manual_seed(2)
    case = make_case(name, 61, batch=1, rows=2, radius=0.4)
    problem = problem_of(case)
    domain = part_of(case, problem, share)
    _, dual, arguments, cuts = solved(case, problem, domain)
    bound = dual_bound(*arguments, dual, cuts)[0, 0]
    start = start_dual(case.graph, arguments[4], 1)._replace(weights=torch.full((1, 2), 0.5, dtype=torch.float64))
    climbed, _ = tighten(*arguments, start, cuts, steps=40)
    assert bound >= climbed[0, 0] - 1e-6

    lower, upper = problem.box
    points = lower + (upper - lower) * torch.rand(3000, *lower.shape, dtype=torch.float64)
    values = forward(case.graph, numpy_params(case), points.numpy())
    inside = torch.ones(len(points), dtype=torch.bool)
    for value, (low, high) in arguments[4].items():
        reached = torch.from_numpy(values[value]).reshape(len(points), *low.shape[1:])
        inside &= ((reached >= low - 1e-9) & (reached <= high + 1e-9)).flatten(1).all(1)
    assert (largest_row(case, problem, points)[inside] >= bound - 1e-7).all()


@pytest.fixture
def apart():
    """y = relu(x - 0.1) + relu(-x - 0.1) + 0 x' on [-1, 1]: both neurons are positive nowhere."""
    nodes = (Node("Gemm", "a", ("x",), "z", ("w", "b"), {}), Node("Relu", "r", ("z",), "h", (), {}),
             Node("Gemm", "c", ("h",), "y", ("v",), {}))  # fmt: skip
    graph = Graph("x", "y", nodes, {"x": (1,), "z": (2,), "h": (2,), "y": (1,)})
    w, b, v = [[1.0], [-1.0]], [-0.1, -0.1], [[1.0, 1.0]]
    params = {name: torch.tensor(value, dtype=torch.float64) for name, value in (("w", w), ("b", b), ("v", v))}
    case = make_case("gemm_only", 0)._replace(graph=graph, params=params)
    one = torch.ones(1, dtype=torch.float64)
    pre = {"z": Box(torch.tensor([-1.1, -1.1]).double(), torch.tensor([0.9, 0.9]).double())}
    return case, Problem(0, 0, Box(-one, one), torch.ones(1, 1).double(), -100 * one, pre)


def test_a_part_without_a_point_is_proved_whatever_the_row(apart):
    case, problem = apart
    domain = domain_of(problem, (Split("z", 0, 1, 0.0), Split("z", 1, 1, 0.0)))
    optimum, dual, arguments, cuts = solved(case, problem, domain)
    assert optimum.point is None
    assert dual_bound(*arguments, dual, cuts)[0, 0] > 1
    assert proves(case, problem, domain, dual)[1]


def test_a_part_with_points_is_not(apart):
    case, problem = apart
    domain = domain_of(problem, (Split("z", 0, 1, 0.0), Split("z", 1, -1, 0.0)))
    optimum, dual, arguments, cuts = solved(case, problem, domain)
    assert optimum.point is not None
    assert float(dual_bound(*arguments, dual, cuts)[0, 0]) == pytest.approx(-100, abs=1e-9)
    assert not proves(case, problem, domain, dual)[1]


def test_multipliers_raise_what_a_proof_needs(apart):
    """A bound above zero, by terms so large that their rounding may be all of it."""
    case, problem = apart
    slopes, one = {"z": torch.ones(1, 1, 2)}, torch.ones(1, 1)
    for size, needs in ((1.0, False), (1e15, True)):
        large = replace(problem, offset=size * problem.offset)
        domain = domain_of(large, (Split("z", 0, 1, 0.0), Split("z", 1, 1, 0.0)))
        multiplier = -502.0 * size if not needs else -500.0 * size * (1 + 2**-47)
        dual = Dual(slopes, {"z": torch.full((1, 1, 2), multiplier, dtype=torch.float64)}, one)
        bound, proved = proves(case, large, domain, dual)
        assert bound > 1e-9
        assert proved is not needs
