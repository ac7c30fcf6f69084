"""MTL-IBP, CC-IBP and EXP-IBP between the bounds' loss and the attack's."""

import pytest
import torch

from glscert.trainer.attack import adversarial_inputs
from glscert.trainer.losses import robust_cross_entropy
from glscert.trainer.methods import mtl_ibp, pgd
from glscert.verifier.bounds import margin_spec

LOSSES = {"mtl-ibp": mtl_ibp.mtl_loss, "cc-ibp": mtl_ibp.cc_loss, "exp-ibp": mtl_ibp.exp_loss}


def mean_loss(parts):
    return parts.combine(parts.terms / 7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("alpha", [0, 1])
def test_the_ends_are_pgd_and_ibp(objective, params, images, gradient, name, alpha):
    found = mean_loss(LOSSES[name](objective, params, images(), mtl_ibp.Options(alpha=alpha, steps=2)))
    if alpha == 1:
        expected = objective.robust_loss(params, images().x, images().y, 0.05).terms.sum() / 7
    else:
        expected = pgd.loss(objective, params, images(), pgd.Options(steps=2)).terms.sum() / 7
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found), gradient(expected))


@pytest.mark.parametrize("name", LOSSES)
def test_between_the_ends_the_formula_holds(objective, params, images, name):
    options = mtl_ibp.Options(alpha=0.3, steps=2, attack_range_scale=1.5)
    found = mean_loss(LOSSES[name](objective, params, images(), options)).item()
    bounds = objective.bounds(params, images().x, images().y, 0.05)
    attacked = objective.scores(params, adversarial_inputs(objective, params, images(), 0.075, options))
    margins = torch.stack([row @ s for row, s in zip(margin_spec(images().y, 10).rows.double(), attacked, strict=True)])
    bounded, broken = (robust_cross_entropy(rows).item() / 7 for rows in (bounds.lower, margins))
    mixed = robust_cross_entropy(0.3 * bounds.lower + 0.7 * margins).item() / 7
    expected = {"mtl-ibp": 0.3 * bounded + 0.7 * broken, "cc-ibp": mixed, "exp-ibp": bounded**0.3 * broken**0.7}
    assert found == pytest.approx(expected[name], rel=1e-9)


def test_exp_ibp_has_a_slope_at_a_loss_of_nothing(objective, params, images):
    combine = mtl_ibp.exp_loss(objective, params, images(), mtl_ibp.Options(alpha=0.5)).combine
    means = torch.tensor([1.0, 0.0], requires_grad=True)
    combine(means).backward()
    assert means.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_warm_up_may_have_its_own_weight(objective, params, images, name):
    options = mtl_ibp.Options(alpha=0.3, warmup_alpha=0.8, steps=2)
    for annealing, alpha in ((True, 0.8), (False, 0.3)):
        found = mean_loss(LOSSES[name](objective, params, images()._replace(annealing=annealing), options))
        expected = mean_loss(LOSSES[name](objective, params, images(), mtl_ibp.Options(alpha=alpha, steps=2)))
        torch.testing.assert_close(found, expected)
