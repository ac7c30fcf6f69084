"""SABR's small boxes, and bounds shrunk at the ReLUs, against plain formulas."""

import numpy as np
import pytest
import torch

from glscert.trainer import resolve, train
from glscert.trainer.attack import adversarial_inputs
from glscert.trainer.methods import pgd, sabr
from glscert.trainer.objective import Objective
from glscert.trainer.shrunk import shrunk_ibp
from glscert.verifier.bounds import RELAXATIONS, Box, margin_spec
from glscert.verifier.errors import InputError
from glscert.verifier.graph import Graph, Node


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 0.9, 1.0])
def test_the_small_box_lies_inside_and_as_near_the_attack_as_it_gets(objective, params, images, shrinkage):
    options = sabr.Options(eps_shrinkage=shrinkage, steps=3)
    small, whole = sabr.small_box(objective, params, images(), options), objective.box(images().x, 0.05)
    assert (small.lower >= whole.lower).all() and (small.upper <= whole.upper).all()
    torch.testing.assert_close(small.upper - small.lower, shrinkage * (whole.upper - whole.lower))
    attacked = adversarial_inputs(objective, params, images(), 0.05, options)
    centre = (small.lower + small.upper) / 2
    moved = (centre - attacked).abs() > 1e-12
    at_edge = ((small.lower - whole.lower).abs() < 1e-12) | ((small.upper - whole.upper).abs() < 1e-12)
    assert at_edge[moved].all() and (moved.any() or shrinkage == 0)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_a_whole_box_is_the_relaxation_and_no_box_is_the_attack(objective, params, images, gradient, relaxation):
    objective = Objective(objective.graph, {}, relaxation, 10)
    whole = sabr.loss(objective, params, images(), sabr.Options(eps_shrinkage=1, steps=2)).terms.sum()
    bounded = objective.robust_loss(params, images().x, images().y, 0.05).terms.sum()
    torch.testing.assert_close(whole, bounded)
    torch.testing.assert_close(gradient(whole), gradient(bounded))
    none = sabr.loss(objective, params, images(), sabr.Options(eps_shrinkage=0, steps=2)).terms.sum()
    attacked = pgd.loss(objective, params, images(), pgd.Options(steps=2, step_size=0.2)).terms.sum()
    torch.testing.assert_close(none, attacked)
    torch.testing.assert_close(gradient(none), gradient(attacked))


def test_shrunk_bounds_are_the_plain_formula():
    sizes, rng = [5, 7, 6, 4], np.random.default_rng(0)
    nodes, shapes, params, value = [], {"x": (5,)}, {}, "x"
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        params |= {f"w{i}": rng.normal(size=(m, n)), f"b{i}": rng.normal(size=m)}
        nodes.append(Node("Gemm", f"g{i}", (value,), f"y{i}", (f"w{i}", f"b{i}")))
        nodes.append(Node("Relu", f"r{i}", (f"y{i}",), f"z{i}"))
        shapes |= {f"y{i}": (m,), f"z{i}": (m,)}
        value = f"z{i}"
    objective = Objective(Graph("x", "y2", tuple(nodes[:-1]), shapes), {}, "ibp", 4)
    lower, radius = rng.normal(size=(3, 5)), rng.uniform(size=(3, 5))
    weights = {name: torch.tensor(array) for name, array in params.items()}
    box, y = Box(torch.tensor(lower), torch.tensor(lower + radius)), torch.tensor([0, 3, 1])

    l, u = lower, lower + radius
    for i in range(2):
        c, r = (l + u) / 2 @ params[f"w{i}"].T + params[f"b{i}"], (u - l) / 2 @ np.abs(params[f"w{i}"]).T
        l, u = c - r, c + r
        u = np.where((l < 0) & (u > 0), 0.6 * u, u)
        l, u = np.maximum(l, 0), np.maximum(u, 0)
    rows = margin_spec(y, 4, torch.float64).rows.numpy() @ params["w2"]
    offset = margin_spec(y, 4, torch.float64).rows.numpy() @ params["b2"]
    expected = np.einsum("bmk,bk->bm", rows, (l + u) / 2) - np.einsum("bmk,bk->bm", np.abs(rows), (u - l) / 2) + offset
    np.testing.assert_allclose(shrunk_ibp(objective, weights, box, y, 0.6).lower.numpy(), expected, rtol=1e-10)
    plain = objective.bounds_on(weights, box, y)
    torch.testing.assert_close(shrunk_ibp(objective, weights, box, y, 1.0).lower, plain.lower)
    assert (shrunk_ibp(objective, weights, box, y, 0.6).lower > plain.lower).any()


def test_shrinking_is_for_ibp(tmp_path):
    config = resolve({"method": "sabr", "relaxation": "deeppoly", "options": {"relu_shrinkage": 0.8}})
    with pytest.raises(InputError, match="relu_shrinkage = 0.8 is for IBP's bounds, not deeppoly's; take"):
        train(tmp_path / "run", config, report=lambda news: None)
    assert not (tmp_path / "run").exists()
