"""A GPU's bounds are the CPU's, in float32, by every relaxation: of random networks of all operators, and the paper's.

Both round, in orders of their own, so that they agree to 1e-5 of the largest bound of a layer.
"""

import pytest
import torch

from cases import make_case
from glscert.trainer.architectures import NETS, SOURCES, build
from glscert.trainer.initialisation import fast
from glscert.trainer.objective import Objective
from glscert.verifier.bounds import RELAXATIONS, Box
from glscert.verifier.ops import evaluate
from random_graphs import GRAPHS

IMAGES = 4
WIDE = ("cnn5", "cnn5-l")  # whose forms fill gigabytes unless a compiled program takes them
CPU = torch.device("cpu")


def moved(values, device):
    return {name: value.to(device) for name, value in values.items()}


def close(found, expected):
    """[…] on a GPU and on a CPU"""
    found = found.cpu()
    assert bool(torch.isfinite(found).all())
    assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))


def same(found, expected):
    close(found.lower, expected.lower)
    for name, box in expected.pre.items():
        close(found.pre[name].lower, box.lower)
        close(found.pre[name].upper, box.upper)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_random_networks(gpu, relaxation, name):
    case = make_case(name, 60, dtype=torch.float32)
    bounds = RELAXATIONS[relaxation]
    expected = bounds(case.graph, case.params, case.box, case.spec)
    there = [type(part)(*(value.to(gpu) for value in part)) for part in (case.box, case.spec)]
    same(bounds(case.graph, moved(case.params, gpu), *there), expected)


@pytest.mark.parametrize("net", [name for name in NETS if name not in WIDE])
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_networks_of_the_catalogue(gpu, relaxation, net):
    source = SOURCES["digits" if net == "digits" else "mnist"]
    made, generator = build(net, source, (64, 64) if net == "mlp" else None), torch.Generator().manual_seed(0)
    params = fast(made, generator)
    constants = {name: torch.from_numpy(value) for name, value in made.constants.items()}
    x, y = torch.rand(IMAGES, *source.shape, generator=generator), torch.arange(IMAGES)

    def on(device):
        objective = Objective(made.graph, moved(constants, device), relaxation, source.classes)
        return objective.bounds(moved(params, device), x.to(device), y.to(device), 0.05)

    same(on(gpu), on(CPU))


def test_a_convolution_has_all_bits(gpu):
    """Against float64: TF32 would err by 1e-3."""
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(8, 64, 28, 28, generator=generator), torch.rand(64, 64, 3, 3, generator=generator)
    exact = torch.conv2d(x.double(), weight.double())

    def error():
        return float((torch.conv2d(x.to(gpu), weight.to(gpu)).cpu().double() / exact - 1).abs().max())

    assert error() < 1e-5
    product = (x.flatten(2).to(gpu) @ x.flatten(2).mT.to(gpu)).cpu().double()
    assert torch.allclose(product, x.flatten(2).double() @ x.flatten(2).double().mT, rtol=1e-5, atol=0)


def test_a_box_around_a_point_gives_the_scores(gpu):
    case = make_case("conv_chain", 61, dtype=torch.float32)
    x, spec = case.box.lower, type(case.spec)(*(value.to(gpu) for value in case.spec))
    found = RELAXATIONS["deeppoly"](case.graph, moved(case.params, gpu), Box(x.to(gpu), x.to(gpu)), spec).lower
    scores = evaluate(case.graph, case.params, x)
    close(found, (case.spec.rows @ scores[..., None])[..., 0] + case.spec.offset)
