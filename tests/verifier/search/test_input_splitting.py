"""The lines of rows lie below them, and what is cut off a box holds no unsafe point."""

import pytest
import torch

from cases import make_case
from glscert.verifier.bounds import Box
from glscert.verifier.ops import evaluate
from glscert.verifier.search.cut import cut
from glscert.verifier.search.row_lines import RowBounder, row_lines
from random_graphs import GRAPHS

BOXES, CLAUSES, ROWS, POINTS = 6, 2, 3, 400


def several(name, seed):
    """A network with boxes [D, n], rows [1, C, M, K] and offsets that leave a part of the boxes unsafe."""
    case = make_case(name, seed, batch=BOXES)
    generator = torch.Generator().manual_seed(seed)
    outputs = case.graph.output_shape[0]
    rows = torch.randn(1, CLAUSES, ROWS, outputs, generator=generator, dtype=torch.float64)
    box = Box(*(end.flatten(1) for end in case.box))
    share = torch.rand(POINTS, *box.lower.shape, generator=generator, dtype=torch.float64)
    points = box.lower + (box.upper - box.lower) * share
    y = evaluate(case.graph, case.params, points.reshape(-1, *case.graph.input_shape))
    values = torch.einsum("cmk,pk->pcm", rows[0], y).reshape(POINTS, BOXES, CLAUSES, ROWS)
    offset = -values.flatten(0, 1).quantile(0.4, 0)[None]
    return case, box, rows, offset, points, values + offset


@pytest.mark.parametrize("name", GRAPHS)
def test_lines_are_below_and_cutting_keeps_what_is_unsafe(name):
    case, box, rows, offset, points, values = several(name, 3)
    group = torch.zeros(BOXES, dtype=torch.long)
    around = Box(box.lower.amin(0, keepdim=True), box.upper.amax(0, keepdim=True))
    bounder = RowBounder(case.graph, case.params, around, rows, offset, memory=2**28, stop=lambda: False)
    compiled, _ = bounder(box, group, torch.zeros(BOXES, bounder.neurons, dtype=torch.int8))
    for lines in (compiled, row_lines(case.graph, case.params, box, rows[group], offset[group], memory=2**28)[0]):
        below = lines.centre + torch.einsum("dcmn,pdn->pdcm", lines.slopes, points - lines.middle)
        assert (values >= below - 1e-9).all()
        assert (values >= lines.lowest - 1e-9).all()
        lower, upper, alive = cut(lines, *box, torch.ones(BOXES, CLAUSES, dtype=torch.bool))
        assert (lower >= box.lower).all() and (upper <= box.upper).all()
        unsafe = (values <= 0).all(3)
        assert not (unsafe & ~alive).any()
        kept = ((points >= lower) & (points <= upper)).all(2, keepdim=True)
        assert not (unsafe & ~kept).any()
