"""No point of the box beats a bound: random points, corners, and corners chosen by gradient signs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import make_case, numpy_params
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.ops import evaluate
from random_graphs import CURVED, GRAPHS, arbitrary_convs
from reference import forward

ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}


def adversarial_corners(case, steps=3):
    """Per image and row, the corner that the gradient's sign names, taken again from there: [steps * M, B, *v]."""
    lower, upper = case.box
    points = []
    for row in range(case.spec.rows.shape[1]):
        x = (lower + upper) / 2
        for _ in range(steps):
            x = x.detach().requires_grad_()
            y = evaluate(case.graph, case.params, x)
            (slope,) = torch.autograd.grad((case.spec.rows[:, row] * y).sum(), x)
            x = torch.where(slope > 0, lower, upper)
            points.append(x.detach())
    return torch.stack(points)


def sampled_points(case, count=24):
    """[S, B, *v]"""
    lower, upper = case.box
    inside = lower + (upper - lower) * torch.rand(count, *lower.shape, dtype=lower.dtype)
    corners = torch.where(torch.rand(count, *lower.shape) < 0.5, lower, upper)
    centre = ((lower + upper) / 2)[None]
    return torch.cat([inside, corners, centre, lower[None], upper[None], adversarial_corners(case)])


def assert_sound(case, relaxation):
    bounds = RELAXATIONS[relaxation](case.graph, case.params, case.box, case.spec)
    points = sampled_points(case)
    count, batch = points.shape[:2]
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).double().numpy())
    rounding = ROUNDING[case.box.lower.dtype]

    y = values[case.graph.output].reshape(count, batch, -1)
    rows = np.einsum("bmk,sbk->sbm", case.spec.rows.double().numpy(), y) + case.spec.offset.double().numpy()
    lower = bounds.lower.double().numpy()
    scale = max(1.0, np.abs(rows).max())
    assert (rows - lower).min() >= -rounding * scale, "a point falls below the bound of its row"

    for name, box in bounds.pre.items():
        seen = values[name].reshape(count, *box.lower.shape)
        slack = rounding * max(1.0, np.abs(seen).max())
        assert (seen >= box.lower.double().numpy() - slack).all(), f"a point falls below the box of {name}"
        assert (seen <= box.upper.double().numpy() + slack).all(), f"a point rises above the box of {name}"


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("seed", (10, 11))
@pytest.mark.parametrize("name", GRAPHS | CURVED)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_no_point_beats_a_bound(relaxation, name, seed, dtype):
    assert_sound(make_case(name, seed, dtype=dtype), relaxation)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@given(seed=st.integers(0, 10**6))
def test_no_point_beats_a_bound_of_arbitrary_convolutions(relaxation, seed):
    assert_sound(make_case("arbitrary", seed, make=arbitrary_convs, radius=0.6), relaxation)
