"""A small network in float64 with a few images, as a method's loss gets them."""

import pytest
import torch

from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.initialisation import kaiming
from glscert.trainer.objective import Images, Objective

NET = build("digits", SOURCES["digits"])


@pytest.fixture
def objective():
    return Objective(NET.graph, {}, "ibp", 10)


@pytest.fixture
def params():
    drawn = kaiming(NET, torch.Generator().manual_seed(3))
    return {name: value.double().requires_grad_() for name, value in drawn.items()}


@pytest.fixture
def images():
    """Called with eps; every call's generator begins anew."""
    x = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    x[:, :, :2] = x[:, :, :2].round()  # some pixels at the ends of the valid range

    def make(eps=0.05, annealing=False):
        return Images(x, torch.tensor([0, 9, 4, 4, 1, 7, 2]), eps, torch.Generator().manual_seed(5), annealing)

    return make


@pytest.fixture
def gradient(params):
    """Of a scalar, flat, by the parameters."""

    def of(value):
        parts = torch.autograd.grad(
            value, list(params.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([part.flatten() for part in parts])

    return of
