"""Channels that died are revived: the network stays what it is, and they work again."""

import numpy as np
import pytest
import torch

from glscert.trainer import resolve, revival
from glscert.trainer.architectures import SOURCES, Architecture, build
from glscert.trainer.channels import ends
from glscert.trainer.own_data import Splits
from glscert.trainer.revival import between, revive
from glscert.trainer.setup import assemble
from glscert.verifier.graph import Graph
from random_graphs import Builder

NETS = ["digits", "cnn3", "cnn5", "mlp"]


def killed(net):
    """A network whose first hidden layer has dead channels and a constant one, and its ends; no padding hides these."""
    source = SOURCES["digits" if net == "digits" else "mnist"]
    draw = np.random.default_rng(0)
    x, y = draw.random((64, *source.shape), dtype=np.float32), draw.integers(0, 10, 64)
    config = resolve({"net": net, "dataset": "digits" if net == "digits" else "mnist", "relaxation": "ibp"})
    setup = assemble(config, build(net, source), Splits(source, x, y, x, y))
    params = setup.initial_params()
    weight, bias = next(pair.entering for pair in between(setup.net).values())
    params[bias][[0, 3]], params[weight][5], params[bias][5] = -100.0, 0.0, 1.0
    return setup, params, looked_at(setup, params)


def looked_at(setup, params):
    return ends(setup.objective, params, setup.train_x, setup.train_y, 0.1, 64)


@pytest.mark.parametrize("net", NETS)
def test_outputs_and_bounds_stay_where_nothing_is_drawn_apart(net, monkeypatch):
    monkeypatch.setattr(revival, "APART", 0.0)
    setup, params, known = killed(net)
    if net != "mlp":  # at padded edges a constant channel is no constant
        known = {name: pair.clone() for name, pair in known.items()}
        pair = next(iter(between(setup.net).values()))
        params[pair.leaving][:, 5] = 0.0
    kept = {key: value.clone() for key, value in params.items()}
    found, _, revived = revive(setup.net, params, {}, known, torch.Generator())
    assert {0, 3, 5} <= set(next(iter(revived.values())))
    assert all(torch.equal(params[key], kept[key]) for key in kept)  # what was given stays
    for relaxation in ("ibp", "deeppoly"):
        before, after = (
            setup.objective.bounds(weights, setup.train_x, setup.train_y, 0.05, relaxation).lower
            for weights in (params, found)
        )
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("net", NETS)
def test_every_channel_does_something_after_it(net):
    setup, params, known = killed(net)
    found, _, revived = revive(setup.net, params, {}, known, torch.Generator().manual_seed(0))
    (first, (lower, upper)) = next(iter(looked_at(setup, found).items()))
    assert not (upper <= 0).any() and not ((upper - lower) < 1e-3).any()
    pair = between(setup.net)[first]
    copies = found[pair.entering[0]].flatten(1)
    assert len(copies.unique(dim=0)) == len(copies)  # drawn apart
    assert all(torch.isfinite(value).all() for value in found.values())


def by_hand(widths):
    """Weights of 1 all over, and ends of the first layer's channels as wide as these."""
    net = build("digits", SOURCES["digits"])
    params = {name: torch.ones(shape) for name, shape in net.parameters.items()}
    return net, params, {"conv_1": torch.stack([torch.zeros(16), torch.tensor(widths)])}


def test_the_busiest_is_split_and_shares_alike(monkeypatch):
    monkeypatch.setattr(revival, "APART", 0.0)
    net, params, known = by_hand([1.0, 0.0, 0.001] + [1.0] * 4 + [-1.0] + [4.0] + [1.0] * 7)
    entering, leaving, _ = between(net)["conv_1"]
    params[entering[0]][8] = 3.0
    moments = {f"exp_avg/{name}": value.clone() for name, value in params.items()} | {"sigma": torch.ones(3)}
    found, moved, revived = revive(net, params, moments, known, torch.Generator())
    assert revived == {"conv_1": [1, 2, 7]}
    assert (found[entering[0]][[1, 2, 7, 8]] == 3.0).all() and (found[entering[0]][0] == 1.0).all()
    assert found[leaving][0, [1, 2, 7, 8], 0, 0].tolist() == [0.25] * 4  # halves, and halves of those
    assert (moved[f"exp_avg/{entering[0]}"][[1, 2, 7]] == 3.0).all() and (moved[f"exp_avg/{leaving}"] == 1.0).all()
    assert torch.equal(moved["sigma"], moments["sigma"])


def test_a_layer_in_which_nothing_is_alive_stays():
    net, params, known = by_hand([0.0] * 16)
    found, _, revived = revive(net, params, {}, known, torch.Generator())
    assert revived == {} and all(torch.equal(found[name], params[name]) for name in params)


def test_only_layers_of_one_path_are_split():
    builder = Builder((2, 6, 6), np.random.default_rng(0))
    first = builder.relu(builder.conv("x", 4, (3, 3), pads=[1, 1, 1, 1]))  # read twice
    grouped = builder.relu(builder.conv(first, 4, (3, 3), pads=[1, 1, 1, 1], group=2))
    total = builder._node("Add", [first, grouped], builder.shapes[first])
    last = builder.relu(builder.conv(total, 3, (2, 2)))
    pooled = builder._node("Flatten", [last], (int(np.prod(builder.shapes[last])),))
    output = builder.gemm(pooled, 3)
    graph = Graph("x", output, tuple(builder.nodes), builder.shapes)
    net = Architecture(graph, {name: array.shape for name, array in builder.params.items()}, {})
    assert list(between(net)) == [graph.producers()[next(n for n in graph.nodes if n.output == last).inputs[0]].name]


@pytest.mark.parametrize("bias", [True, False])
def test_a_constant_needs_a_bias_to_go_into(bias):
    builder = Builder((4,), np.random.default_rng(0))
    output = builder.gemm(builder.relu(builder.gemm("x", 5)), 3, bias)
    graph = Graph("x", output, tuple(builder.nodes), builder.shapes)
    params = {name: torch.from_numpy(array.astype(np.float32)) for name, array in builder.params.items()}
    net = Architecture(graph, {name: value.shape for name, value in params.items()}, {})
    known = {"Gemm_0": torch.tensor([[0.0, -1.0, 2.0, 0.0, 0.0], [9.0, -0.5, 2.0, 9.0, 9.0]])}  # one is dead, one is 2
    _, _, revived = revive(net, params, {}, known, torch.Generator())
    assert revived == {"Gemm_0": [1, 2] if bias else [1]}
