"""Which input is split: the one that the relaxation suffers from, not the one that moves the row."""

import pytest
import torch

from cases import make_case
from glscert.verifier.bounds import Box
from glscert.verifier.bounds.errors import Errors
from glscert.verifier.bounds.substitution import input_anchor
from glscert.verifier.graph import Graph
from glscert.verifier.graph.ir import Node
from glscert.verifier.ops import evaluate
from glscert.verifier.search.axes import gains
from glscert.verifier.search.clauses import Group
from glscert.verifier.search.input_splitting import InputSplitting
from glscert.verifier.search.intermediate import unstable_preactivations
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
    weight = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    params = {
        "w": weight,
        "b": torch.tensor([0.0, 0, 5, 5], dtype=torch.float64),
        "v": torch.tensor([[-1.0, -1, -20, 1]], dtype=torch.float64),
        "c": torch.zeros(1, dtype=torch.float64),
    }
    return graph, params


def gained(graph, params, box, rows):
    base = input_anchor(graph, params, Box(*(end.reshape(-1, *graph.input_shape) for end in box)))
    pre = unstable_preactivations(graph, params, base, Errors(graph, params, base))
    return gains(graph, params, box, pre, rows, {})[0]


def test_the_input_that_only_moves_the_row_gains_nothing():
    graph, params = bent_and_straight()
    box = Box(-torch.ones(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64))
    rows = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    found = gained(graph, params, box, rows[0])
    assert found.shape == (1, 1, 3)
    assert found[0, 0, 0] > 0 and (found[0, 0, 1:] == 0).all()
    lines, *_ = row_lines(graph, params, box, rows, torch.zeros(1, 1, 1, dtype=torch.float64), memory=2**20)
    plain, known = (
        each.prospect(*box).score[0, 0].argmax() for each in (lines, lines._replace(gain=found[:, :, None]))
    )
    assert (int(plain), int(known)) == (1, 0)


def test_a_halved_input_gains_what_was_foretold():
    """Of a single ReLU under its upper line: -1/2 over [-1, 1], -1/4 over either half."""
    graph, params = bent_and_straight()
    box = Box(-torch.ones(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64))
    found = gained(graph, params, box, torch.ones(1, 1, 1, dtype=torch.float64))
    assert found[0, 0, 0] == pytest.approx(2 * 0.25)


@pytest.mark.parametrize("name", ALL)
def test_no_gain_where_nothing_is_free_or_unstable(name):
    case = make_case(name, 11, batch=3, radius=0.4)
    box = Box(*(end.flatten(1) for end in case.box))
    found = gained(case.graph, case.params, box, case.spec.rows)
    assert found.shape == (*case.spec.rows.shape[:2], box.lower.shape[1])
    assert (found >= 0).all() and found.isfinite().all()
    assert (found.transpose(1, 2)[box.lower == box.upper] == 0).all()
    point = Box(box.lower, box.lower)
    assert (gained(case.graph, case.params, point, case.spec.rows) == 0).all()


@pytest.mark.parametrize("name", ALL)
def test_boxes_that_are_halved_more_than_once_lose_no_point(name):
    case = make_case(name, 12, batch=1, radius=0.8)
    box = Box(*(end[0].flatten() for end in case.box))
    rows, offset = case.spec.rows[0][:, None], case.spec.offset[0][:, None]
    group = Group((), box, box, rows, offset, (), torch.ones(len(rows), dtype=torch.bool), (None,) * len(rows))
    search = InputSplitting(
        case.graph, case.params, [group], [0], batch=16, most=10**6, memory=2**28, stop=lambda: False
    )
    points = box.lower + (box.upper - box.lower) * torch.rand(300, len(box.lower), dtype=torch.float64)
    y = evaluate(case.graph, case.params, points.reshape(-1, *case.graph.input_shape))
    unsafe = ((y @ rows[:, 0].T + offset[:, 0]) <= 0).any(1)
    for _ in range(4):
        if not len(search.open.group):
            break
        search.run_round()
        lower, upper = search.open.lower, search.open.upper
        covered = ((points[:, None] >= lower) & (points[:, None] <= upper)).all(2).any(1)
        assert covered[unsafe].all()
        assert sum(search.standing().left) <= 1 + 1e-12
