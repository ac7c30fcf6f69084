"""The engine's slopes are autograd's of the same network in torch."""

import numpy as np
import pytest
import torch

from engine_cases import engine_case, points_in
from glscert.verifier.engine.gradient import outputs_and_gradient
from glscert.verifier.ops import evaluate
from random_graphs import CURVED, GRAPHS


@pytest.mark.parametrize("name", [*GRAPHS, *CURVED])
def test_as_autograd(name):
    case = engine_case(name, 5)
    graph, rng = case.engine.graph, case.rng
    x = points_in(case.box, rng, 3).reshape(-1, case.engine.inputs)
    form = rng.normal(size=(len(x), case.engine.outputs))
    outputs, pull = outputs_and_gradient(case.engine, x)
    given = torch.from_numpy(x).reshape(-1, *graph.input_shape).requires_grad_()
    params = {each: torch.from_numpy(value) for each, value in case.engine.params.items()}
    true = evaluate(graph, params, given)
    (slope,) = torch.autograd.grad((true * torch.from_numpy(form)).sum(), given)
    np.testing.assert_allclose(outputs, true.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(pull(form), slope.flatten(1).numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ("conv_chain", "dense_residual", "waves"))
def test_in_float32(name):
    case = engine_case(name, 6)
    engine, x = case.engine.single, case.box.lower.astype(np.float32)
    form = np.ones((len(x), engine.outputs), np.float32)
    outputs, pull = outputs_and_gradient(engine, x)
    true, exact = outputs_and_gradient(case.engine, x.astype(np.float64))
    assert outputs.dtype == pull(form).dtype == np.float32
    np.testing.assert_allclose(outputs, true, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pull(form), exact(form.astype(np.float64)), rtol=1e-3, atol=1e-3)
