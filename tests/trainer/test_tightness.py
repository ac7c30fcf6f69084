"""Tightness is the area under certified accuracy over the radius: where that is known in closed form, it is found."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from glscert.trainer.objective import Objective
from glscert.trainer.tightness import Certifier, area, grid
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.graph import Graph, Node

LINEAR = Graph("x", "y", (Node("Gemm", "gemm", ("x",), "y", ("w", "b"), {}),), {"x": (6,), "y": (3,)})


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as started:
        yield started


def linear_case():
    """Weights, images away from the ends of [0, 1], and the exact radius of each: least margin over |w_t - w_j|_1."""
    generator = torch.Generator().manual_seed(3)
    params = {"w": torch.randn(3, 6, generator=generator) / 4, "b": torch.randn(3, generator=generator) / 20}
    x = 0.4 + 0.2 * torch.rand(40, 6, generator=generator)
    y = torch.randint(3, (40,), generator=generator)
    scores = x @ params["w"].T + params["b"]
    margins = scores.gather(1, y[:, None]) - scores
    norms = (params["w"][y][:, None] - params["w"]).abs().sum(2)
    ratios = torch.where(norms > 0, margins / norms.clamp(min=1e-9), torch.inf)
    return params, x, y, ratios.min(1).values.clamp(min=0)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_on_a_linear_classifier_it_is_100_times_the_mean_radius(relaxation, pool):
    params, x, y, radii = linear_case()
    assert 0 < (radii == 0).sum() < 40  # some misclassified, and radii enough to average
    certifier = Certifier(Objective(LINEAR, {}, relaxation, 3), params, x, y, chunk=7, pool=pool)
    reach = certifier.reach(relaxation, 0.001)
    assert radii.max() <= reach < 2 * radii.max() + 0.001
    curve = certifier.curve(relaxation, grid(reach, 401))
    assert curve.certified[0] == pytest.approx(float((radii > 0).float().mean()))
    assert curve.certified[-1] == 0
    assert curve.area == pytest.approx(100 * float(radii.mean()), abs=100 * reach / 400)


def test_area_of_shapes():
    assert area((0.0, 0.5, 1.0), (1.0, 1.0, 1.0)) == pytest.approx(100)
    assert area((0.0, 0.25, 0.5), (1.0, 0.5, 0.0)) == pytest.approx(25)
    assert grid(0.2, 5) == pytest.approx((0, 0.05, 0.1, 0.15, 0.2))


def test_a_network_that_is_always_wrong_has_none(pool):
    params, x, _, _ = linear_case()
    wrong = (x @ params["w"].T + params["b"]).argmin(1)
    certifier = Certifier(Objective(LINEAR, {}, "ibp", 3), params, x, wrong, chunk=7, pool=pool)
    assert certifier.curve("ibp", grid(0.1, 3)).area == 0
    assert certifier.reach("ibp", 0.01) == 0.01


def test_every_radius_is_told_of(pool):
    params, x, y, _ = linear_case()
    heard = []
    certifier = Certifier(Objective(LINEAR, {}, "ibp", 3), params, x, y, chunk=100, pool=pool)
    certifier.curve("ibp", grid(0.1, 5), heard.append)
    assert sum(heard) == 5
