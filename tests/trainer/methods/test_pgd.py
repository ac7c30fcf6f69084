"""PGD's loss is the cross-entropy at attacked inputs."""

import torch
from torch.nn.functional import cross_entropy

from glscert.trainer import resolve
from glscert.trainer.attack import adversarial_inputs
from glscert.trainer.methods import pgd


def test_the_loss_is_the_cross_entropy_where_the_attack_ends(objective, params, images, gradient):
    options = pgd.Options(steps=3)
    parts = pgd.loss(objective, params, images(), options)
    attacked = adversarial_inputs(objective, params, images(), 0.05, options)
    expected = cross_entropy(objective.scores(params, attacked), images().y, reduction="sum")
    torch.testing.assert_close(parts.combine(parts.terms), expected)
    torch.testing.assert_close(gradient(parts.terms.sum()), gradient(expected))
    assert parts.proved is None and parts.bounds is None


def test_defaults_of_its_own_give_way_to_what_is_given():
    assert (resolve({"method": "pgd"}).init, resolve({"method": "pgd"}).fast_reg) == ("kaiming", 0)
    given = resolve({"method": "pgd", "init": "fast"}, {"fast_reg": 0.2})
    assert (given.init, given.fast_reg) == ("fast", 0.2) and resolve({"method": "rgs"}).init == "fast"
