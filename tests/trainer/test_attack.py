"""The attack stays in its box, climbs, and returns the best of all it has seen."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from glscert.trainer import attack
from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.attack import AttackOptions, adversarial_inputs, ascend, input_decays, latent_decays
from glscert.trainer.initialisation import kaiming
from glscert.trainer.methods import sabr
from glscert.trainer.objective import Images, Objective
from glscert.verifier.bounds import Box

NET = build("digits", SOURCES["digits"])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def box():
    centre, width = torch.rand(2, 6, 3, 2, generator=seeded(), dtype=torch.float64)
    return Box(centre - width, centre + width)


def test_a_linear_function_is_climbed_to_its_corner(box):
    slope = torch.randn(6, 3, 2, generator=seeded(1), dtype=torch.float64)
    strides = [0.3] * 4  # more than the width, from wherever it starts
    found = ascend(lambda z: (slope * z).flatten(1).sum(1), box.lower, box, strides, 1, seeded())
    torch.testing.assert_close(found, torch.where(slope > 0, box.upper, box.lower), rtol=0, atol=0)


@pytest.mark.parametrize("restarts", [1, 3])
def test_the_best_point_of_all_visited_is_kept(box, restarts):
    visited = []

    def waves(z):
        value = torch.sin(40 * z).flatten(1).sum(1)
        assert (z >= box.lower).all() and (z <= box.upper).all()
        visited.append(value.detach())
        return value

    found = ascend(waves, box.lower, box, [0.3, 0.1, 0.1], restarts, seeded())
    assert len(visited) == 4 * restarts  # the last point counts too
    assert torch.equal(torch.sin(40 * found).flatten(1).sum(1), torch.stack(visited).amax(0))


def test_the_generator_decides(box):
    def climb(z):
        return torch.sin(40 * z).flatten(1).sum(1)

    one, same, other = (ascend(climb, box.lower, box, [0.1], 1, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_attacked_inputs_are_allowed_ones_of_larger_loss():
    params = {name: value.requires_grad_() for name, value in kaiming(NET, seeded()).items()}
    objective = Objective(NET.graph, {}, "ibp", 10)
    x, y = torch.rand(20, 1, 8, 8, generator=seeded(1)), torch.arange(20) % 10
    images = Images(x, y, 0.1, seeded(2))
    attacked = adversarial_inputs(objective, params, images, 0.1, AttackOptions())
    lower, upper = objective.box(x, 0.1)
    assert (attacked >= lower).all() and (attacked <= upper).all() and not attacked.requires_grad

    def loss(z):
        return cross_entropy(objective.scores(params, z), y, reduction="none").detach()

    random = lower + (upper - lower) * torch.rand(x.shape, generator=seeded(3))
    assert (loss(attacked) > loss(x)).all() and (loss(attacked) > loss(random)).all()
    assert torch.equal(adversarial_inputs(objective, params, images, 0.0, AttackOptions()), x)


def test_decays_are_the_librarys():
    assert input_decays(5) == [1] * 5 and latent_decays(9) == [1] * 9
    assert input_decays(12) == pytest.approx([1] * 10 + [0.2] * 2)
    assert input_decays(21) == pytest.approx([1] * math.ceil(14.7) + [0.1] * 6)
    assert input_decays(50) == pytest.approx([1] * 25 + [0.1] * 15 + [0.01] * 5 + [0.001] * 5)
    assert latent_decays(10) == pytest.approx([1] * 7 + [0.2] * 3)
    assert latent_decays(60) == pytest.approx([1] * 24 + [0.2] * 18 + [0.04] * 18)
    assert latent_decays(100) == pytest.approx([1] * 30 + [0.2] * 30 + [0.04] * 20 + [0.008] * 20)


@pytest.mark.parametrize(
    ("options", "strides"),
    [
        (AttackOptions(steps=10), [0.125] * 10),
        (AttackOptions(steps=4), [0.25] * 4),
        (AttackOptions(steps=2, step_size=0.2), [0.1] * 2),
        (sabr.Options(steps=12), [0.1] * 10 + [0.02] * 2),
    ],
)
def test_a_step_is_a_share_of_the_half_width(monkeypatch, options, strides):
    taken = []
    monkeypatch.setattr(attack, "ascend", lambda *given: taken.extend(given[3]))
    images = Images(torch.rand(1, 1, 8, 8), torch.tensor([0]), 0.1, seeded())
    adversarial_inputs(Objective(NET.graph, {}, "ibp", 10), {}, images, 0.1, options)
    assert taken == pytest.approx(strides)
