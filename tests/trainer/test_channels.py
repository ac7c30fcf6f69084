"""Channels that do no work are found where they were put, and nowhere else."""

import json
from dataclasses import replace

import pytest
import torch

from glscert.cli.watch import watch_training
from glscert.trainer import EpochReport, resolve, train
from glscert.trainer.channels import Layer, as_record, ends, from_record, survey
from glscert.trainer.comparison import read_entries
from glscert.trainer.setup import prepare
from glscert.verifier.ops import evaluate


@pytest.fixture
def setup(small):
    return prepare(small(), None)


def looked_at(setup, params, chunk=128):
    return survey(ends(setup.objective, params, setup.train_x, setup.train_y, 0.1, chunk))


def test_channels_are_found_by_their_biases(setup):
    params = setup.initial_params()
    conv, second = (name for name in params if "bias" in name and len(params[name]) == 16)
    params[conv][3], params[conv][5], params[second][0] = -100.0, 100.0, 500.0
    first, last = looked_at(setup, params)
    assert (first.name, first.channels, last.channels) == ("conv_1", 16, 16)
    assert 3 in first.dead and 5 in first.active and 3 not in first.active and 0 in last.active
    assert [(layer.dead, layer.active) for layer in looked_at(setup, params, chunk=7)] == [
        (layer.dead, layer.active) for layer in (first, last)
    ]


def test_dead_and_active_hold_on_points_of_the_boxes(setup):
    params = setup.initial_params()
    bias = next(name for name in params if "bias" in name)
    params[bias][:8] += torch.linspace(-3, 3, 8)  # channels of every kind
    first, _ = looked_at(setup, params)
    assert first.dead and first.active
    x = setup.train_x[torch.arange(0, len(setup.train_y), 2)]  # what is looked at, of 1437
    x = (x + 0.1 * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 1)).clamp(0, 1)
    graph = setup.objective.graph
    cut = next(i for i, node in enumerate(graph.nodes) if node.op == "Relu")
    head = replace(graph, nodes=graph.nodes[:cut], output=graph.nodes[cut].inputs[0])
    before = evaluate(head, {**setup.objective.constants, **params}, x).transpose(0, 1).flatten(1)
    assert (before[first.dead] <= 1e-6).all() and (before[first.active] >= -1e-6).all()


@pytest.mark.parametrize(
    ("layer", "idle"),
    [
        (Layer("a", 2, [], [1]), False),
        (Layer("a", 2, [0], []), True),
        (Layer("a", 2, [], [0, 1]), True),
        (Layer("a", 16, list(range(7)), [8]), False),
        (Layer("a", 16, list(range(8)), []), True),
        (Layer("a", 4, [0], [1, 2, 3]), True),
    ],
)
def test_a_layer_is_named_where_half_is_dead_or_nothing_bends(layer, idle):
    assert layer.idle is idle
    assert from_record(json.loads(json.dumps(as_record([layer])))) == [layer]


def test_the_end_of_warm_up_and_of_run_say_so(tmp_path, small):
    train(tmp_path / "run", small(method="grad", epochs=3, anneal_end=0.1), report=lambda news: None)
    (entry,) = read_entries([tmp_path / "run"], {})
    assert ["channels" in record for record in entry.epochs] == [True, False, True]
    dead, active, channels = entry.idle_channels
    assert channels == 32 and 0 <= dead + active <= channels
    assert entry._replace(epochs=entry.epochs[1:2]).idle_channels is None


def test_a_warning_of_one_line_that_is_not_repeated(capsys):
    metrics = {"train_loss": 1.0, "natural": 0.5, "certified": 0.2}
    sick = as_record(
        [Layer("conv_1", 2, [0], [1]), Layer("conv_2", 4, [], [2]), Layer("gemm_1", 20, list(range(19)), [])]
    )
    with watch_training(resolve()) as report:
        for epoch, said in ((1, {}), (2, sick), (3, sick)):
            report(EpochReport(epoch, 3, metrics | said))
    lines = capsys.readouterr().err.splitlines()
    (warning,) = [line for line in lines if line.startswith("warning")]
    assert "of conv_1's 2, 1 dead (channel 0) and 1 always active (channel 1); of gemm_1's 20, 19 dead" in warning
    assert "conv_2" not in warning and "7, …" in warning and "--restarts" in warning and len(lines) == 4
