"""A stacked population under torch.func.vmap gives what a loop over its members gives, and so do the gradients."""

import pytest
import torch
from torch.func import grad, vmap

from cases import make_case
from glscert.verifier.bounds import RELAXATIONS, Bounds
from glscert.verifier.ops import evaluate
from random_graphs import GRAPHS


def population(case, size=3):
    """name -> [P, ...]"""
    return {key: p + 0.1 * torch.randn(size, *p.shape, dtype=p.dtype) for key, p in case.params.items()}


def member(stacked, p):
    return {key: tensor[p] for key, tensor in stacked.items()}


@pytest.mark.parametrize("name", GRAPHS)
def test_evaluate(name):
    case = make_case(name, 50)
    stacked = population(case)
    together = vmap(lambda params: evaluate(case.graph, params, case.box.lower))(stacked)
    for p in range(3):
        alone = evaluate(case.graph, member(stacked, p), case.box.lower)
        assert torch.allclose(together[p], alone, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_bounds(relaxation, name):
    case = make_case(name, 51)
    stacked = population(case)
    together: Bounds = vmap(lambda params: RELAXATIONS[relaxation](case.graph, params, case.box, case.spec))(stacked)
    for p in range(3):
        alone = RELAXATIONS[relaxation](case.graph, member(stacked, p), case.box, case.spec)
        assert torch.allclose(together.lower[p], alone.lower, rtol=0, atol=1e-10)
        for value, box in alone.pre.items():
            assert torch.allclose(together.pre[value].lower[p], box.lower, rtol=0, atol=1e-10)
            assert torch.allclose(together.pre[value].upper[p], box.upper, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ("conv_chain", "residual", "normalised", "groups_and_dilation"))
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_gradients(relaxation, name):
    case = make_case(name, 52)
    stacked = population(case)

    def loss(params):
        return RELAXATIONS[relaxation](case.graph, params, case.box, case.spec).lower.exp().sum()

    together = vmap(grad(loss))(stacked)
    for p in range(3):
        for key, alone in grad(loss)(member(stacked, p)).items():
            scale = max(1.0, float(alone.abs().max()))
            assert torch.allclose(together[key][p], alone, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_nested(relaxation):
    """Population outside, boxes inside."""
    case = make_case("conv_chain", 53)
    stacked = population(case)

    def one(params, box, spec):
        box, spec = (type(pair)(*(tensor[None] for tensor in pair)) for pair in (box, spec))
        return RELAXATIONS[relaxation](case.graph, params, box, spec).lower[0]

    together = vmap(lambda params: vmap(lambda box, spec: one(params, box, spec))(case.box, case.spec))(stacked)
    loop = [RELAXATIONS[relaxation](case.graph, member(stacked, p), case.box, case.spec).lower for p in range(3)]
    assert torch.allclose(together, torch.stack(loop), rtol=0, atol=1e-10)
