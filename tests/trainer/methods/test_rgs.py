"""RGS: the mean gradient at shifted weights."""

import pytest
import torch

from glscert.trainer import METHODS
from glscert.trainer.evaluation import Evaluation
from glscert.trainer.methods import rgs


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


def test_without_noise_rgs_is_grad():
    params = {"p": torch.tensor([1.0, -2.0])}
    given = (cubic, params, torch.Generator())
    smooth = METHODS["rgs"].gradient(*given, rgs.Options(sigma=0.0), 0)
    plain = METHODS["grad"].gradient(*given, METHODS["grad"].options(), 0)
    assert torch.equal(smooth.gradient["p"], plain.gradient["p"]) and smooth.loss == plain.loss
