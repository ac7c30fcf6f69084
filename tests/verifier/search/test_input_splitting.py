"""The lines of rows lie below them, and what is cut off a box holds no unsafe point."""

import numpy as np
import pytest

from engine_cases import engine_case
from glscert.verifier.functions import Box
from glscert.verifier.search import row_lines as row_lines_of
from glscert.verifier.search.clauses import Group
from glscert.verifier.search.cut import cut
from glscert.verifier.search.input_splitting import InputSplitting
from glscert.verifier.search.row_lines import RowBounder, row_lines
from random_graphs import CURVED, GRAPHS, Builder

BOXES, CLAUSES, ROWS, POINTS = 6, 2, 3, 400


def several(name, seed):
    """A network with boxes [D, n], rows [1, C, M, K] and offsets that leave a part of the boxes unsafe."""
    case = engine_case(name, seed, batch=BOXES)
    rows = case.rng.normal(size=(1, CLAUSES, ROWS, case.engine.outputs))
    lower, upper = case.box
    points = lower + (upper - lower) * case.rng.random((POINTS, *lower.shape))
    y = case.engine.evaluate(points.reshape(-1, case.engine.inputs))
    values = np.einsum("cmk,pk->pcm", rows[0], y).reshape(POINTS, BOXES, CLAUSES, ROWS)
    offset = -np.quantile(values, 0.4, axis=(0, 1))[None]
    return case, rows, offset, points, values + offset


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_lines_are_below_and_cutting_keeps_what_is_unsafe(name):
    case, rows, offset, points, values = several(name, 3)
    box, group = case.box, np.zeros(BOXES, int)
    around = Box(box.lower.min(0, keepdims=True), box.upper.max(0, keepdims=True))
    bounder = RowBounder(case.engine, around, rows, offset, memory=2**28, stop=lambda: False)
    bounded, _ = bounder(box, group, np.zeros((BOXES, bounder.neurons), np.int8))
    for lines in (bounded, row_lines(case.engine, box, rows[group], offset[group], memory=2**28)[0]):
        below = lines.centre + np.einsum("dcmn,pdn->pdcm", lines.slopes, points - lines.middle)
        assert (values >= below - 1e-9).all()
        assert (values >= lines.lowest - 1e-9).all()
        lower, upper, alive = cut(lines, *box, np.ones((BOXES, CLAUSES), bool))
        assert (lower >= box.lower).all() and (upper <= box.upper).all()
        unsafe = (values <= 0).all(3)
        assert not (unsafe & ~alive).any()
        kept = ((points >= lower) & (points <= upper)).all(2, keepdims=True)
        assert not (unsafe & ~kept).any()


def test_few_bytes_at_a_time_give_the_same_lines():
    case, rows, offset, *_ = several("residual", 4)
    group = np.zeros(BOXES, int)
    ample, scarce = (
        row_lines(case.engine, case.box, rows[group], offset[group], memory=memory, gain=True)[0]
        for memory in (2**28, 1)
    )
    for whole, part in zip(ample, scarce, strict=True):
        np.testing.assert_allclose(whole, part, rtol=1e-9, atol=1e-12)


def square(case, offset):
    """One clause for each row of the case's first box."""
    box = Box(*(end[0] for end in case.box))
    rows = case.spec.rows[0][:, None]
    return Group((), box, box, rows, np.full(rows.shape[:2], offset), (), np.ones(len(rows), bool), (None,) * len(rows))


def tower(rng):
    builder, value = Builder((4,), rng), "x"
    for width in (96, 96, 96):
        value = builder.relu(builder.gemm(value, width))
    return builder.finish(builder.gemm(value, 3))


@pytest.mark.parametrize("dense", (True, False))
def test_owners_share_the_work_and_each_comes_to_its_end(dense, monkeypatch):
    """One has unsafe points everywhere, the other's least value lies somewhat above zero."""
    if not dense:
        monkeypatch.setattr(row_lines_of, "dense_network", lambda engine: None)
    case = engine_case("tower", 3, batch=1, radius=0.1, make=tower)
    least = (case.engine.evaluate(case.box.lower) @ case.spec.rows[0].T).min()
    groups = [square(case, 2.5 - least), square(case, -1e3)]
    search = InputSplitting(case.engine, groups, [1, 0], batch=64, most=10**6, memory=2**28, stop=lambda: False)
    assert {group for group, *_ in search.run_round()} == {1}
    search.drop(0)
    while len(search.open):
        assert search.visited[1] < 2000
        assert not search.run_round()
    standing = search.standing()
    assert (standing.open, standing.left) == ([0, 0], [0.0, 0.0]) and not search.stuck
    assert search.crowded() is None
