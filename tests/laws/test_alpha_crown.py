"""α-CROWN's slopes: where they end, that more steps stay sound, and that no surrounding mode of autograd matters."""

import pytest
import torch
from torch.func import vmap

from cases import make_case, numpy_params
from glscert.verifier.bounds import OPTIONS, RELAXATIONS, resolve_options
from glscert.verifier.bounds.alpha_crown import alpha_crown, climb
from glscert.verifier.bounds.substitution import anchor
from random_graphs import GRAPHS
from reference import forward


def slopes(case, **options):
    base = anchor(case.graph, case.params, case.box)
    pre = RELAXATIONS["deeppoly"](case.graph, case.params, case.box, case.spec).pre
    return climb(case.graph, case.params, base, case.spec, pre, **options)


@pytest.mark.parametrize("relaxation", OPTIONS)
def test_options_left_out_are_the_defaults_of_the_function(relaxation):
    case = make_case("conv_chain", 84)
    arguments = (case.graph, case.params, case.box, case.spec)
    bounds = RELAXATIONS[relaxation](*arguments, **resolve_options(relaxation, {}))
    assert torch.equal(bounds.lower, RELAXATIONS[relaxation](*arguments).lower)


@pytest.mark.parametrize("name", GRAPHS)
def test_one_step_ends_at_zero_or_one(name):
    found = slopes(make_case(name, 85), steps=1, step_size=0.5)
    assert all(((slope == 0) | (slope == 1)).all() for slope in found.values())


@pytest.mark.parametrize("name", GRAPHS)
def test_more_steps_are_sound(name):
    case = make_case(name, 86, radius=1.0)
    found = slopes(case, steps=7, step_size=0.3)
    assert all(((slope >= 0) & (slope <= 1)).all() for slope in found.values())
    bounds = alpha_crown(case.graph, case.params, case.box, case.spec, steps=7, step_size=0.3)
    lower, upper = case.box
    points = lower + (upper - lower) * torch.rand(300, *lower.shape, dtype=lower.dtype).round(decimals=1)
    y = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())[case.graph.output]
    y = torch.from_numpy(y).reshape(300, len(lower), -1)
    rows = torch.einsum("bmk,sbk->sbm", case.spec.rows, y) + case.spec.offset
    assert (rows - bounds.lower).min() >= -1e-9 * max(1.0, float(rows.abs().max()))


def test_many_small_steps_gain_over_one():
    gained = []
    for seed in range(10):
        case = make_case("conv_chain", seed, radius=1.0)
        one, many = (
            alpha_crown(case.graph, case.params, case.box, case.spec, steps=steps, step_size=0.5) for steps in (1, 20)
        )
        gained.append(float((many.lower - one.lower).mean()))
    assert sum(gained) > 0


def test_a_population_without_gradients_has_the_bounds_of_one_with_them():
    case = make_case("conv_chain", 87)
    stacked = {key: p + 0.1 * torch.randn(3, *p.shape, dtype=p.dtype) for key, p in case.params.items()}

    def lower(params):
        return alpha_crown(case.graph, params, case.box, case.spec).lower

    with torch.no_grad():
        together = vmap(lower)(stacked)
    for p in range(3):
        leaves = {key: tensor[p].clone().requires_grad_() for key, tensor in stacked.items()}
        alone = lower(leaves)
        assert alone.requires_grad and not together.requires_grad
        assert torch.allclose(together[p], alone, rtol=0, atol=1e-10)
