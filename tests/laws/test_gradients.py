"""The bounds' gradients in weights and box are those of the function computed (central differences, float64)."""

import pytest
import torch

from cases import make_case
from glscert.verifier.bounds import RELAXATIONS, Box
from glscert.verifier.ops import evaluate
from random_graphs import GRAPHS


def flat_inputs(case):
    keys = sorted(case.params)
    tensors = [*case.box, *(case.params[key] for key in keys)]
    return keys, [tensor.clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_bounds(relaxation, name):
    """`fast_mode` compares one random projection of the Jacobian, so that every graph can be asked."""
    case = make_case(name, 60)
    keys, inputs = flat_inputs(case)

    def lower(low, high, *params):
        bounds = RELAXATIONS[relaxation](case.graph, dict(zip(keys, params, strict=True)), Box(low, high), case.spec)
        return bounds.lower

    assert torch.autograd.gradcheck(lower, inputs, eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("name", ("gemm_only", "dense_residual"))
def test_bounds_and_boxes_in_full(relaxation, name):
    case = make_case(name, 61, batch=1)
    keys, inputs = flat_inputs(case)

    def everything(low, high, *params):
        bounds = RELAXATIONS[relaxation](case.graph, dict(zip(keys, params, strict=True)), Box(low, high), case.spec)
        return (bounds.lower, *(end for box in bounds.pre.values() for end in box))

    assert torch.autograd.gradcheck(everything, inputs, eps=1e-7, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", GRAPHS)
def test_evaluate(name):
    case = make_case(name, 62)
    keys, (x, _, *params) = flat_inputs(case)

    def output(x, *params):
        return evaluate(case.graph, dict(zip(keys, params, strict=True)), x)

    assert torch.autograd.gradcheck(output, (x, *params), eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_arguments_are_left_as_they_were(relaxation):
    case = make_case("residual", 63)
    before = [tensor.clone() for tensor in (*case.box, *case.spec, *case.params.values())]
    RELAXATIONS[relaxation](case.graph, case.params, case.box, case.spec)
    after = (*case.box, *case.spec, *case.params.values())
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_gradients_are_finite_where_neurons_touch_zero(relaxation):
    """Widths of zero and bounds of exactly zero: 0/0 hides there, in the value or only in the gradient."""
    case = make_case("conv_chain", 64)
    params = {key: torch.zeros_like(tensor).requires_grad_() for key, tensor in case.params.items()}
    lower = case.box.lower.clone().requires_grad_()
    bounds = RELAXATIONS[relaxation](case.graph, params, Box(lower, lower), case.spec)
    gradients = torch.autograd.grad(bounds.lower.sum(), (lower, *params.values()), allow_unused=True)
    assert torch.isfinite(bounds.lower).all()
    assert all(g is None or torch.isfinite(g).all() for g in gradients)
