"""TAPS and STAPS: the connector, the attack inside the network, and the product of losses, against plain formulas."""

from types import SimpleNamespace

import pytest
import torch

from glscert.trainer import resolve, train
from glscert.trainer.losses import robust_cross_entropy
from glscert.trainer.methods import sabr, staps, taps
from glscert.verifier.bounds import Box
from glscert.verifier.errors import InputError
from glscert.verifier.ops import evaluate


def test_the_connector_is_the_identity_with_the_stated_gradient():
    generator = torch.Generator().manual_seed(0)
    lower, width, place, pull = torch.rand(4, 5, 6, generator=generator, dtype=torch.float64)
    width[0, :3] = 0  # neurons that are fixed
    place[1], place[2] = 0, 1
    lower.requires_grad_()
    upper = (lower.detach() + width).requires_grad_()
    z = lower.detach() + place * width
    share, tol = 0.3, 1e-5
    connected = taps.connect(z, Box(lower, upper), share)
    assert torch.equal(connected, z)
    connected.backward(pull)
    for i in range(5):
        for j in range(6):
            l, u, point = lower[i, j].item(), upper[i, j].item(), z[i, j].item()
            d = share * (u - l)
            to_upper = max(point - (u - d), tol / 2) / max(d, tol) if point >= u - d else 0.0
            to_lower = max(l + d - point, tol / 2) / max(d, tol) if point <= l + d else 0.0
            assert upper.grad[i, j].item() == pytest.approx(pull[i, j].item() * to_upper, abs=1e-12)
            assert lower.grad[i, j].item() == pytest.approx(pull[i, j].item() * to_lower, abs=1e-12)


@pytest.mark.parametrize("relus", [1, 2])
def test_attacked_margins_lie_between_the_bounds_and_any_point(objective, params, images, relus):
    options, x, y = taps.LatentOptions(relus=relus), images().x, images().y
    box, bounds = objective.box(x, 0.05), objective.bounds(params, x, y, 0.05)
    latent = taps.latent_box(objective.graph, box, bounds, options)
    margins = taps.attacked_margins(objective, params, images(), latent, options)
    assert margins.shape == (7, 9) and (margins >= bounds.lower - 1e-12).all()
    scores = evaluate(objective.graph, params, x)
    others = torch.stack([torch.cat([s[t] - s[:t], s[t] - s[t + 1 :]]) for s, t in zip(scores, y, strict=True)])
    assert (margins < others).all()


def test_each_class_has_an_attack_of_its_own(objective, params, images):
    """One attack on all margins together finds no more in any of them."""
    options = taps.LatentOptions(relus=2)
    box = objective.box(images().x, 0.05)
    own = taps.attacked_margins(objective, params, images(), box, options)
    points = (box.lower + box.upper) / 2
    shared = sabr.small_box(objective, params, images(), sabr.Options(eps_shrinkage=0)).lower
    for z in (points, shared):
        spread = taps.attacked_margins(objective, params, images(), Box(z, z), options)
        assert (own <= spread + 1e-9).double().mean() > 0.95


@pytest.mark.parametrize("method", [taps, staps])
def test_the_loss_is_the_product_and_its_gradient_counts_the_attack_more(objective, params, images, gradient, method):
    options = method.Options(grad_scale=3.0, latent_steps=4)
    parts = method.loss(objective, params, images(), options)
    bounded, attacked = parts.terms / 7
    assert parts.combine(parts.terms / 7).item() == pytest.approx((bounded * attacked).item(), rel=1e-12)

    again = images()
    if method is taps:
        box, bounds = objective.box(again.x, 0.05), objective.bounds(params, again.x, again.y, 0.05)
    else:
        small = sabr.loss(objective, params, again, options)
        box, bounds = small.box, small.bounds
    assert bounded.item() == pytest.approx(robust_cross_entropy(bounds.lower).item() / 7, rel=1e-12)
    latent = taps.latent_box(objective.graph, box, bounds, options)
    plain = robust_cross_entropy(taps.attacked_margins(objective, params, again, latent, options)) / 7
    assert attacked.item() == pytest.approx(plain.item(), rel=1e-12)
    expected = plain.detach() * gradient(bounded) + 3.0 * bounded.detach() * gradient(plain)
    torch.testing.assert_close(gradient(parts.combine(parts.terms / 7)), expected)


def test_the_gradient_reaches_the_first_block(objective, params, images):
    options = taps.Options()
    bounds = objective.bounds(params, images().x, images().y, 0.05)
    latent = taps.latent_box(objective.graph, objective.box(images().x, 0.05), bounds, options)
    margins = taps.attacked_margins(objective, params, images(), latent, options)
    (slope,) = torch.autograd.grad(margins.sum(), params["layer1.weight"])
    assert slope.abs().max() > 1e-3


@pytest.mark.parametrize("method", [taps, staps])
def test_while_eps_grows_there_is_no_attack_inside(objective, params, images, method):
    options = method.Options()
    parts = method.loss(objective, params, images(annealing=True), options)
    plain = (
        objective.robust_loss(params, images().x, images().y, 0.05)
        if method is taps
        else sabr.loss(objective, params, images(), options)
    )
    assert torch.equal(parts.terms, plain.terms) and parts.combine(parts.terms) == parts.terms.sum()


def test_shrunk_neurons_are_shrunk_where_the_second_block_begins(objective, params, images):
    options = staps.Options(relu_shrinkage=0.5)
    box, bounds = objective.box(images().x, 0.05), objective.bounds(params, images().x, images().y, 0.05)
    pre = bounds.pre["conv_1_out"]
    latent = taps.latent_box(objective.graph, box, bounds, options, 0.5)
    crossing = (pre.lower < 0) & (pre.upper > 0)
    expected = torch.where(crossing, pre.upper / 2, pre.upper).clamp(min=0)
    assert crossing.any()
    torch.testing.assert_close(latent.upper, expected)


def test_a_network_with_fewer_relus_is_refused_before_the_run_begins(tmp_path):
    config = resolve({"method": "taps", "options": {"relus": 3}})
    with pytest.raises(InputError, match="relus = 3, but the network has 2; take at most 2"):
        train(tmp_path / "run", config, report=SimpleNamespace)
    assert not (tmp_path / "run").exists()
