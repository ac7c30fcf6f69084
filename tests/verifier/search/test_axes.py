"""Which input is split: the one that the relaxation suffers from, not the one that moves the row."""

import numpy as np
import pytest

from engine_cases import engine_case
from glscert.verifier.engine.engine import Engine
from glscert.verifier.functions import Box
from glscert.verifier.graph import Graph
from glscert.verifier.graph.ir import Node
from glscert.verifier.search.clauses import Group
from glscert.verifier.search.input_splitting import InputSplitting
from glscert.verifier.search.row_lines import row_lines
from random_graphs import CURVED, GRAPHS

ALL = (*GRAPHS, *CURVED)


def bent_and_straight():
    """-|x0| - 20 x1 + x2, whose bound is loose along x0 alone."""
    nodes = (
        Node("Gemm", "both", ("x",), "z", ("w", "b")),
        Node("Relu", "relu", ("z",), "a"),
        Node("Gemm", "sum", ("a",), "y", ("v", "c")),
    )
    graph = Graph("x", "y", nodes, {"x": (3,), "z": (4,), "a": (4,), "y": (1,)})
    params = {
        "w": np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        "b": np.array([0.0, 0, 5, 5]),
        "v": np.array([[-1.0, -1, -20, 1]]),
        "c": np.zeros(1),
    }
    return Engine(graph, params)


def lined(engine, box, rows):
    """Of rows [D, R, K], as R clauses."""
    given = rows[:, :, None]
    return row_lines(engine, box, given, np.zeros(given.shape[:3]), memory=2**20, gain=True)[0]


def gained(engine, box, rows):
    return lined(engine, box, rows).gain[:, :, 0]


SQUARE = Box(-np.ones((1, 3)), np.ones((1, 3)))


def test_the_input_that_only_moves_the_row_gains_nothing():
    lines = lined(bent_and_straight(), SQUARE, np.ones((1, 1, 1)))
    found = lines.gain[:, :, 0]
    assert found.shape == (1, 1, 3)
    assert found[0, 0, 0] > 0 and (found[0, 0, 1:] == 0).all()
    plain, known = (each.prospect(*SQUARE).score[0, 0].argmax() for each in (lines._replace(gain=None), lines))
    assert (int(plain), int(known)) == (1, 0)


def test_a_halved_input_gains_what_was_foretold():
    """Of a single ReLU under its upper line: -1/2 over [-1, 1], -1/4 over either half."""
    found = gained(bent_and_straight(), SQUARE, np.ones((1, 1, 1)))
    assert found[0, 0, 0] == pytest.approx(2 * 0.25)


@pytest.mark.parametrize("name", ALL)
def test_no_gain_where_nothing_is_free_or_unstable(name):
    case = engine_case(name, 11, batch=3, radius=0.4)
    found = gained(case.engine, case.box, case.spec.rows)
    assert found.shape == (*case.spec.rows.shape[:2], case.engine.inputs)
    assert (found >= 0).all() and np.isfinite(found).all()
    assert (found.transpose(0, 2, 1)[case.box.lower == case.box.upper] == 0).all()
    point = Box(case.box.lower, case.box.lower)
    assert (gained(case.engine, point, case.spec.rows) == 0).all()


@pytest.mark.parametrize("name", ALL)
def test_boxes_that_are_halved_more_than_once_lose_no_point(name):
    case = engine_case(name, 12, batch=1, radius=0.8)
    box = Box(*(end[0] for end in case.box))
    rows, offset = case.spec.rows[0][:, None], case.spec.offset[0][:, None]
    group = Group((), box, box, rows, offset, (), np.ones(len(rows), bool), (None,) * len(rows))
    search = InputSplitting(case.engine, [group], [0], batch=16, most=10**6, memory=2**28, stop=lambda: False)
    points = box.lower + (box.upper - box.lower) * case.rng.random((300, len(box.lower)))
    unsafe = ((case.engine.evaluate(points) @ rows[:, 0].T + offset[:, 0]) <= 0).any(1)
    for _ in range(4):
        if not len(search.open):
            break
        search.run_round()
        lower, upper, *_ = search.open.all
        covered = ((points[:, None] >= lower) & (points[:, None] <= upper)).all(2).any(1)
        assert covered[unsafe].all()
        assert sum(search.standing().left) <= 1 + 1e-12
