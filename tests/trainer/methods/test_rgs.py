"""RGS: the mean gradient at shifted weights."""

import pytest
import torch

from glscert.trainer import METHODS, resolve
from glscert.trainer.evaluation import Evaluation
from glscert.trainer.methods import rgs
from glscert.verifier.errors import InputError


def cubic(params, shifts=None):
    """sum p^3 and its gradient, which differs from point to point; the mean over the shifts."""
    points = params["p"][None] if shifts is None else params["p"] + shifts["p"]
    return Evaluation(float((points**3).sum(1).mean()), 0.5, {"p": (3 * points**2).mean(0)})


def test_rgs_is_the_mean_gradient_at_shifted_weights():
    params = {"p": torch.tensor([1.0, -2.0, 3.0])}
    options = rgs.Options(sigma=0.1, samples=3)
    found = rgs.gradient(cubic, params, torch.Generator().manual_seed(5), options, 1)
    generator = torch.Generator().manual_seed(5)
    points = list(params["p"] + 0.1 * 0.4 * torch.randn(3, 3, generator=generator))
    torch.testing.assert_close(found.gradient["p"], sum(3 * p**2 for p in points) / 3)
    assert found.loss == pytest.approx(sum(float((p**3).sum()) for p in points) / 3)


def test_rgs_smooths_the_loss_over_the_weights():
    params = {"p": torch.zeros(1)}
    options = rgs.Options(sigma=0.5, samples=20_000)
    found = rgs.gradient(cubic, params, torch.Generator().manual_seed(0), options, 0)
    assert found.gradient["p"].item() == pytest.approx(3 * 0.25, rel=0.05)  # d/dm E (m + e)^3 = 3 (m^2 + sigma^2)


def test_antithetic_noise_cancels_what_is_odd():
    """Of 3 (p + e)^2 the mean over a pair is 3 (p^2 + e^2): the part linear in the noise is gone."""
    params = {"p": torch.tensor([1.0, -2.0, 3.0])}
    options = rgs.Options(sigma=0.1, samples=4, antithetic=True)
    found = rgs.gradient(cubic, params, torch.Generator().manual_seed(5), options, 0)
    noise = 0.1 * torch.randn(2, 3, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(found.gradient["p"], 3 * (params["p"] ** 2 + (noise**2).mean(0)))


@pytest.mark.parametrize(("samples", "antithetic"), [(1, False), (3, False), (2, True), (20_000, True)])
def test_samples_are_any_number_or_pairs(samples, antithetic):
    params = {"p": torch.zeros(2, 3)}
    options = rgs.Options(samples=samples, antithetic=antithetic, sigma=1.0)
    draw = rgs.antithetic if antithetic else rgs.independent
    assert draw(params, options.samples, torch.Generator())["p"].shape == (samples, 2, 3)


def test_a_pair_needs_two():
    with pytest.raises(InputError, match="samples = 3 must be even: antithetic noise comes in pairs"):
        resolve({"method": "rgs", "options": {"samples": 3, "antithetic": True}})


def test_without_noise_rgs_is_grad():
    params = {"p": torch.tensor([1.0, -2.0])}
    given = (cubic, params, torch.Generator())
    smooth = METHODS["rgs"].gradient(*given, rgs.Options(sigma=0.0), 0)
    plain = METHODS["grad"].gradient(*given, METHODS["grad"].options(), 0)
    assert torch.equal(smooth.gradient["p"], plain.gradient["p"]) and smooth.loss == plain.loss
