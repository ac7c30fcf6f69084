"""The engine computes the plain relaxations: 1e-10 in float64, 1e-5 in float32, both relative to the bounds' scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import make_case, numpy_params, reference_bounds
from glscert.verifier.bounds import RELAXATIONS, linf_box, margin_spec
from glscert.verifier.ops import OPERATORS, evaluate
from random_graphs import CURVED, GRAPHS, arbitrary_convs
from reference import REFERENCE, dense, forward

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def assert_close(actual, expected, tolerance, what):
    actual = actual.detach().double().numpy().reshape(expected.shape)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    worst = float(np.abs(actual - expected).max(initial=0.0)) / scale
    assert worst <= tolerance, f"{what}: off by {worst:.2e} of scale {scale:.3g}"


def assert_equals_reference(case, relaxation):
    tolerance = TOLERANCE[case.box.lower.dtype]
    bounds = RELAXATIONS[relaxation](case.graph, case.params, case.box, case.spec)
    lower, pre = reference_bounds(case, relaxation)
    assert bounds.lower.shape == lower.shape
    assert bounds.lower.dtype == case.box.lower.dtype
    assert_close(bounds.lower, lower, tolerance, "specification")
    assert set(bounds.pre) == set(pre)
    for name, (below, above) in pre.items():
        assert bounds.pre[name].lower.shape == (len(lower), *case.graph.shapes[name])
        assert_close(bounds.pre[name].lower, below, tolerance, f"lower bounds of {name}")
        assert_close(bounds.pre[name].upper, above, tolerance, f"upper bounds of {name}")


def test_every_relaxation_has_a_reference():
    assert set(RELAXATIONS) == set(REFERENCE)


def test_every_operator_occurs_in_some_network():
    graphs = [make_case(name).graph for name in GRAPHS | CURVED]
    assert {node.op for graph in graphs for node in graph.nodes} == set(OPERATORS)


@pytest.mark.parametrize("name", GRAPHS)
def test_reference_matrices_are_the_network(name):
    """The reference's own footing: with the ReLUs' outputs given, its matrices reproduce its forward pass."""
    case = make_case(name)
    values = forward(case.graph, numpy_params(case), case.box.lower.numpy())
    forms = dense(case.graph, numpy_params(case)).forms
    for node in case.graph.nodes:
        if node.op != "Relu":
            flat = [values[i].reshape(len(values[i]), -1) for i in node.inputs]
            y = forms[node.output].bias + sum(x @ m.T for x, m in zip(flat, forms[node.output].matrices, strict=True))
            assert np.allclose(y, values[node.output].reshape(len(y), -1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_evaluate(name, dtype):
    case = make_case(name, dtype=dtype)
    expected = forward(case.graph, numpy_params(case), case.box.upper.numpy())[case.graph.output]
    y = evaluate(case.graph, case.params, case.box.upper)
    assert y.dtype == dtype
    assert_close(y, expected, TOLERANCE[dtype], "output")


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("seed", (0, 1))
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_bounds(relaxation, name, seed, dtype):
    assert_equals_reference(make_case(name, seed, dtype=dtype), relaxation)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@settings(max_examples=200)
@given(seed=st.integers(0, 10**9))
def test_bounds_of_arbitrary_convolutions(relaxation, seed):
    assert_equals_reference(make_case("arbitrary", seed, make=arbitrary_convs), relaxation)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("radius", (1e-4, 3.0), ids=("all stable", "all crossing"))
def test_bounds_of_extreme_boxes(relaxation, radius):
    assert_equals_reference(make_case("conv_chain", radius=radius), relaxation)


def test_linf_box_stays_in_the_input_range():
    x = torch.tensor([[0.0, 0.05, 0.5, 0.98]])
    box = linf_box(x, 0.1, 0.0, 1.0)
    assert torch.allclose(box.lower, torch.tensor([[0.0, 0.0, 0.4, 0.88]]))
    assert torch.allclose(box.upper, torch.tensor([[0.1, 0.15, 0.6, 1.0]]))


def test_margin_spec_rows_are_target_minus_other():
    y = torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 11.0]], dtype=torch.float64)
    spec = margin_spec(torch.tensor([1, 2]), 3, torch.float64)
    margins = torch.einsum("bmk,bk->bm", spec.rows, y) + spec.offset
    assert torch.equal(margins, torch.tensor([[1.0, -2.0], [8.0, 6.0]], dtype=torch.float64))
