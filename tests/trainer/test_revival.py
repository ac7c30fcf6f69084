"""Channels that died are revived: the network stays what it is, and they work again."""

import numpy as np
import pytest
import torch

from glscert.trainer import resolve, revival
from glscert.trainer.architectures import SOURCES, Architecture, build
from glscert.trainer.channels import Layer, agreed, survey
from glscert.trainer.distributed import ALONE
from glscert.trainer.own_data import Splits
from glscert.trainer.revival import between, revive
from glscert.trainer.setup import assemble
from glscert.verifier.graph import Graph
from random_graphs import Builder

NETS = ["digits", "cnn3", "cnn5", "mlp"]


def killed(net):
    """A network whose first hidden layer has dead channels, and what a survey would say of it."""
    setup = prepare_net(net)
    params = setup.initial_params()
    layers = looked_at(setup, params)
    bias = next(name for name in params if "bias" in name)
    dead = [0, 3, 5]
    params[bias][dead] = -100.0
    return setup, params, looked_at(setup, params), layers[0].name, dead


def prepare_net(net):
    source = SOURCES["digits" if net == "digits" else "mnist"]
    draw = np.random.default_rng(0)
    x, y = draw.random((64, *source.shape), dtype=np.float32), draw.integers(0, 10, 64)
    config = resolve({"net": net, "dataset": "digits" if net == "digits" else "mnist", "relaxation": "ibp"})
    return assemble(config, build(net, source), Splits(source, x, y, x, y))


def looked_at(setup, params):
    return survey(setup.objective, params, setup.train_x, setup.train_y, 0.1, 64)


@pytest.mark.parametrize("net", NETS)
def test_outputs_and_bounds_stay_where_nothing_is_drawn_apart(net, monkeypatch):
    monkeypatch.setattr(revival, "APART", 0.0)
    setup, params, layers, name, dead = killed(net)
    kept = {key: value.clone() for key, value in params.items()}
    found, _, revived = revive(setup.net, params, {}, layers, torch.Generator())
    assert revived[name] == layers[0].dead and set(dead) <= set(revived[name])
    assert all(torch.equal(params[key], kept[key]) for key in kept)  # what was given stays
    for relaxation in ("ibp", "deeppoly"):
        before, after = (
            setup.objective.bounds(weights, setup.train_x, setup.train_y, 0.05, relaxation).lower
            for weights in (params, found)
        )
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("net", NETS)
def test_no_channel_is_dead_after_it(net):
    setup, params, layers, name, dead = killed(net)
    found, _, _ = revive(setup.net, params, {}, layers, torch.Generator().manual_seed(0))
    assert looked_at(setup, found)[0].dead == []
    weight = next(key for key in params if "weight" in key)
    assert all(torch.isfinite(value).all() for value in found.values())
    copies = found[weight].flatten(1)
    assert len(copies.unique(dim=0)) == len(copies)  # drawn apart


def test_the_busiest_is_split_and_shares_alike(monkeypatch):
    monkeypatch.setattr(revival, "APART", 0.0)
    net = build("digits", SOURCES["digits"])
    entering, leaving = between(net)["conv_1"]
    params = {name: torch.ones(shape) for name, shape in net.parameters.items()}
    params[entering[0]][4] = 3.0
    moments = {f"exp_avg/{name}": value.clone() for name, value in params.items()} | {"sigma": torch.ones(3)}
    found, moved, _ = revive(net, params, moments, [Layer("conv_1", 16, [1, 2, 7], [])], torch.Generator())
    assert (found[entering[0]][[1, 2, 4, 7]] == 3.0).all() and (found[entering[0]][0] == 1.0).all()
    assert found[leaving][0, [1, 2, 4, 7], 0, 0].tolist() == [0.25] * 4  # halves, and halves of those
    assert (moved[f"exp_avg/{entering[0]}"][[1, 2, 7]] == 3.0).all() and (moved[f"exp_avg/{leaving}"] == 1.0).all()
    assert torch.equal(moved["sigma"], moments["sigma"])


def test_a_layer_with_no_channel_left_stays():
    net = build("digits", SOURCES["digits"])
    params = {name: torch.ones(shape) for name, shape in net.parameters.items()}
    found, _, revived = revive(net, params, {}, [Layer("conv_1", 16, list(range(16)), [])], torch.Generator())
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


def test_all_processes_take_the_first_one_s_word():
    class Other:
        leads = False

        def add(self, tensors):
            return {name: tensor + 1 for name, tensor in tensors.items()}

    layers = [Layer("a", 3, [1], [2])]
    assert agreed(layers, ALONE) == layers
    assert agreed(layers, Other())[0].dead == [0, 1, 2]
