"""A part of the region in which the network is affine is decided by its linear program: proved, or at its point."""

from math import inf

import numpy as np
import pytest

from engine_cases import engine_case, preactivations, random_ball
from glscert.verifier.engine.anchor import Anchor
from glscert.verifier.engine.engine import Engine
from glscert.verifier.functions import Box
from glscert.verifier.graph import Graph, Node
from glscert.verifier.region import Norm
from glscert.verifier.search import programs
from glscert.verifier.search.branch_and_bound import BranchAndBound
from glscert.verifier.search.frontier import Limits
from glscert.verifier.search.problem import Problem, batch, rows_at
from glscert.verifier.search.search import Search
from random_graphs import Builder


def problem_of(engine, anchor, rows, offset):
    pre = {name: Box(box.lower[0], box.upper[0]) for name, box in preactivations(engine, anchor).items()}
    ball = None if anchor.ball is None else anchor.ball.take(0)
    return Problem(0, 0, Box(*(end[0] for end in anchor.box)), rows, offset, pre, ball=ball)


def ended(search):
    """-> what the problem ended with, and the candidates on the way."""
    points = []
    while search.is_open():
        search.run_round()
        points += search.take_candidates().values()
    return search.progress[0].done, points


def least(engine, problem):
    """Of the largest row, as the search of a problem that lies far above it ends with; and where."""
    low = Problem(0, 0, problem.box, problem.rows, problem.offset - 1e3, problem.pre, ball=problem.ball)
    search = Search(engine, [low], Limits(1e9, domains=10**6))
    search.propose = lambda number, point, most=0.0: found.append(point)
    found = []
    ended(search)
    work = batch(engine, [problem], len(problem.rows))
    values = [float(rows_at(work, point[None].astype(np.float64))[0]) for point in found]
    return min(values), found[int(np.argmin(values))]


def shifted(problem, by):
    return Problem(0, 0, problem.box, problem.rows, problem.offset + by, problem.pre, ball=problem.ball)


def two_layers(rng):
    b = Builder((6,), rng)
    return b.finish(b.gemm(b.relu(b.gemm(b.relu(b.gemm("x", 4)), 3)), 3))


NETWORKS = {"dense": two_layers, "affine": lambda rng: (b := Builder((5,), rng)).finish(b.gemm("x", 3))}


@pytest.mark.parametrize("ball", (None, Norm.L1, Norm.L2))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_answer_on_either_side_of_the_least_value(name, ball):
    case = engine_case(name, 3, batch=1, rows=3, radius=0.8, make=NETWORKS[name])
    anchor = case.anchor if ball is None else Anchor(*random_ball(case, ball))
    problem = problem_of(case.engine, anchor, case.spec.rows[0], case.spec.offset[0])
    value, _ = least(case.engine, problem)
    proved, _ = ended(Search(case.engine, [shifted(problem, 1e-4 - value)], Limits(1e9)))
    assert proved == ""
    below = shifted(problem, -1e-4 - value)
    done, points = ended(Search(case.engine, [below], Limits(1e9)))
    work = batch(case.engine, [below], 3)
    assert min(float(rows_at(work, point[None].astype(np.float64))[0]) for point in points) <= 0
    assert "has the least value -0.0001, at a point that onnxruntime does not confirm" in done


@pytest.mark.parametrize("above", (1e-6, -1e-6))
def test_one_affine_piece_is_decided_at_its_root(above):
    """Of the rows y0 - y1 and 2 (y1 - y0) + 3 c no one is positive everywhere; the larger is at least c."""
    nodes = (Node("Gemm", "a", ("x",), "z", ("w", "b"), {}), Node("Relu", "r", ("z",), "y", (), {}))
    graph = Graph("x", "y", nodes, {"x": (2,), "z": (2,), "y": (2,)})
    engine = Engine(graph, {"w": np.eye(2), "b": np.full(2, 5.0)})
    anchor = Anchor(Box(np.full((1, 2), -1.0), np.full((1, 2), 1.0)))
    problem = problem_of(engine, anchor, np.array([[1.0, -1.0], [-2.0, 2.0]]), np.array([0.0, 3 * above]))
    search = Search(engine, [problem], Limits(1e9, root_steps=0))
    search.run_round()
    assert (search.progress[0].done == "") is (above > 0) and search.progress[0].visited == 1
    assert bool(search.take_candidates()) is (above < 0)


def wide(inputs):
    """A sum of five ReLUs of much the same functions of many inputs, none free of the others, with either sign."""
    rng = np.random.default_rng(1)
    common, own = rng.choice([-1.0, 1.0], inputs), rng.choice([-0.5, 0.5], (5, inputs))
    nodes = (Node("Gemm", "a", ("x",), "z", ("w", "b"), {}), Node("Relu", "r", ("z",), "h", (), {}),
             Node("Gemm", "c", ("h",), "y", ("v",), {}))  # fmt: skip
    graph = Graph("x", "y", nodes, {"x": (inputs,), "z": (5,), "h": (5,), "y": (1,)})
    bias, last = np.array([0.1, -0.2, 0.3, -0.4, 0.5]), np.array([[1.0, 1.0, -1.0, 0.7, -1.3]])
    return Engine(graph, {"w": (common + own) / np.sqrt(inputs), "b": bias, "v": last})


@pytest.mark.parametrize("above", (1e-5, -1e-5))
def test_however_many_inputs_there_are(above, monkeypatch):
    """Too many for a program to be tried on parts that can be split: all five neurons are."""
    monkeypatch.setattr(programs, "_MOST_ENTRIES", 1000)
    engine = wide(1000)
    box = Box(*(np.full((1, engine.inputs), end) for end in (-0.07, 0.07)))
    problem = problem_of(engine, Anchor(box), np.ones((1, 1)), np.zeros(1))
    value, _ = least(engine, problem)
    known = shifted(problem, above - value)
    limits = Limits(1e9, steps=1, root_steps=1)
    assert "no neuron left" in ended(BranchAndBound(engine, [known], limits))[0]
    done, points = ended(Search(engine, [known], limits))
    if above > 0:
        assert done == ""
    else:
        work = batch(engine, [known])
        assert any(float(rows_at(work, point[None].astype(np.float64))[0]) <= 0 for point in points)
        assert "at a point that onnxruntime does not confirm" in done


def test_a_program_beyond_the_memory_says_so():
    case = engine_case("dense", 3, batch=1, rows=1, radius=0.8, make=two_layers)
    problem = problem_of(case.engine, case.anchor, case.spec.rows[0], np.full(1, -1e3))
    search = Search(case.engine, [problem], Limits(inf))
    search._programs = programs.Programs(case.engine, search.problems, 1000)
    done, _ = ended(search)
    assert "a part that no split divides takes 0.00374 MiB of the 0.000954 allowed; give more with --memory" in done
