"""What happens to the bounds when the box shrinks: never worse under IBP, and the forward value at a point."""

import pytest
import torch

from cases import make_case
from glscert.verifier.bounds import RELAXATIONS, Box
from glscert.verifier.ops import evaluate
from random_graphs import GRAPHS


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_point_box_gives_the_forward_value(relaxation, name):
    case = make_case(name, 20)
    x = case.box.lower
    bounds = RELAXATIONS[relaxation](case.graph, case.params, Box(x, x), case.spec)
    rows = torch.einsum("bmk,bk->bm", case.spec.rows, evaluate(case.graph, case.params, x)) + case.spec.offset
    assert torch.allclose(bounds.lower, rows, rtol=0, atol=1e-10)
    for box in bounds.pre.values():
        assert torch.allclose(box.lower, box.upper, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", (30, 31))
@pytest.mark.parametrize("name", GRAPHS)
def test_smaller_box_is_no_worse_under_ibp(name, seed):
    case = make_case(name, seed)
    lower, upper = case.box
    ends = torch.sort(torch.rand(2, *lower.shape, dtype=lower.dtype), dim=0).values
    inner = Box(lower + (upper - lower) * ends[0], lower + (upper - lower) * ends[1])
    wide, narrow = (RELAXATIONS["ibp"](case.graph, case.params, box, case.spec) for box in (case.box, inner))
    assert (narrow.lower >= wide.lower - 1e-12).all()
    for value, box in wide.pre.items():
        assert (narrow.pre[value].lower >= box.lower - 1e-12).all()
        assert (narrow.pre[value].upper <= box.upper + 1e-12).all()


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_images_do_not_see_each_other(relaxation, name):
    """One batch of two images gives what the two give alone; batch 1 is a shape of its own in many kernels."""
    case = make_case(name, 40)
    together = RELAXATIONS[relaxation](case.graph, case.params, case.box, case.spec)
    for b in range(2):
        box, spec = (type(pair)(*(tensor[b : b + 1] for tensor in pair)) for pair in (case.box, case.spec))
        alone = RELAXATIONS[relaxation](case.graph, case.params, box, spec)
        assert torch.allclose(alone.lower, together.lower[b : b + 1], rtol=0, atol=1e-10)
