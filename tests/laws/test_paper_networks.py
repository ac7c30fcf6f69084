"""The paper's own networks at their own size, both as initialised and with weights that grow through the layers."""

from functools import cache

import numpy as np
import pytest
import torch

from cases import Case, numpy_params, reference_bounds
from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.initialisation import INITIALISATIONS
from glscert.verifier.bounds import RELAXATIONS, linf_box, margin_spec
from reference import dense

NETWORKS = (("cnn3", "mnist"), ("cnn3-tiny", "cifar10"), ("digits", "digits"))
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@cache
def dense_network(net, source, init):
    """One for both dtypes: the float32 weights are float64 numbers too."""
    case = real_case(net, source, torch.float64, init)
    return dense(case.graph, numpy_params(case))


def real_case(net, source, dtype, init) -> Case:
    """An image in [0, 1], most of its pixels black as in MNIST, eps 0.1."""
    architecture = build(net, SOURCES[source])
    generator = torch.Generator().manual_seed(0)
    params = INITIALISATIONS[init](architecture, generator)
    params |= {name: torch.from_numpy(array) for name, array in architecture.constants.items()}
    x = torch.rand(1, *architecture.graph.input_shape, generator=generator)
    x = torch.where(torch.rand(x.shape, generator=generator) < 0.7, 0.0, x).to(dtype)
    params = {name: tensor.to(dtype) for name, tensor in params.items()}
    return Case(architecture.graph, params, linf_box(x, 0.1, 0.0, 1.0), margin_spec(torch.tensor([3]), 10, dtype))


@pytest.mark.parametrize("init", INITIALISATIONS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("net, source", NETWORKS, ids=str)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_bounds(relaxation, net, source, dtype, init):
    case = real_case(net, source, dtype, init)
    bounds = RELAXATIONS[relaxation](case.graph, case.params, case.box, case.spec)
    lower, pre = reference_bounds(case, relaxation, dense_network(net, source, init))
    scale = max(1.0, np.abs(lower).max())
    assert np.abs(bounds.lower.double().numpy() - lower).max() <= TOLERANCE[dtype] * scale
    for name, expected in pre.items():
        for actual, end in zip(bounds.pre[name], expected, strict=True):
            error = np.abs(actual.double().numpy().reshape(end.shape) - end).max()
            assert error <= TOLERANCE[dtype] * max(1.0, np.abs(end).max())
