"""Starting weights have the distribution their name promises."""

import math

import pytest
import torch

from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.initialisation import INITIALISATIONS, fast, kaiming

NET = build("cnn5", SOURCES["mnist"])


def within_uniform(values, bound):
    """All inside the bound, filling it, with a uniform's standard deviation."""
    assert values.abs().max() <= bound
    if values.numel() > 200:
        assert values.abs().max() > 0.97 * bound
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_fast_is_normal_with_shi_deviation_but_for_the_last_layer():
    params = fast(NET, torch.Generator().manual_seed(1))
    for name in NET.weights[:-1]:
        weight = params[name]
        fan_in = weight[0].numel()
        assert weight.std().item() == pytest.approx(math.sqrt(2 * math.pi) / fan_in, rel=0.1)
        assert abs(weight.mean().item()) < 0.2 * weight.std().item()
        assert weight.abs().max() > 2 * weight.std()  # no uniform
    last = params[NET.weights[-1]]
    within_uniform(last, 1 / math.sqrt(last.shape[1]))


def test_kaiming_is_uniform_in_every_layer():
    params = kaiming(NET, torch.Generator().manual_seed(1))
    for name in NET.weights:
        within_uniform(params[name], math.sqrt(6 / params[name][0].numel()))


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_biases_are_pytorch_defaults_and_draws_repeat(name):
    params = INITIALISATIONS[name](NET, torch.Generator().manual_seed(1))
    for weight in NET.weights:
        bias = params[weight.replace("weight", "bias")]
        within_uniform(bias, 1 / math.sqrt(params[weight][0].numel()))
    again = INITIALISATIONS[name](NET, torch.Generator().manual_seed(1))
    other = INITIALISATIONS[name](NET, torch.Generator().manual_seed(2))
    assert list(params) == list(NET.parameters)
    assert all(torch.equal(params[key], again[key]) and not torch.equal(params[key], other[key]) for key in params)
    assert all(params[key].dtype == torch.float32 and params[key].shape == NET.parameters[key] for key in params)
