"""A user's own module: its graph is what it computes, it trains, and what cannot be is said with its place."""

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.export import export_model
from glscert.export.runtime import open_onnx
from glscert.trainer import model_folder, resolve, train_module
from glscert.trainer.capture import capture, start
from glscert.trainer.loop import train
from glscert.verifier.bounds import RELAXATIONS, linf_box, margin_spec
from glscert.verifier.errors import InputError, UnsupportedError
from glscert.verifier.ops import evaluate


class Everything(nn.Module):
    """Every layer and operator that is supported, some weights shared, some frozen, one never used."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 2, 1, 1), 0.4))
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.same = nn.Conv2d(4, 4, (1, 3), padding="same", groups=2, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)
        self.act, self.drop, self.idle = nn.ReLU(inplace=True), nn.Dropout(), nn.Identity()
        self.first, self.second = nn.Linear(36, 6), nn.Linear(6, 6)
        self.again = self.second
        self.head = nn.Linear(6, 3)
        self.head.requires_grad_(False)
        self.scale, self.unused = nn.Parameter(torch.full((3,), 1.5)), nn.Parameter(torch.zeros(3))

    def forward(self, x):
        x = (1 - x - self.mean) / 0.25
        x = self.act(self.norm(self.conv(x)))
        x = x + self.same(x)
        x = self.drop(x.flatten(2).unflatten(2, (3, 3)).reshape(x.size(0), -1))
        x = self.first(-x)
        h = torch.relu(self.second(x))
        h += x
        return self.scale * (self.head(self.idle(self.again(h))) - 2.0)


def params_of(module, net):
    return {name: torch.from_numpy(value) for name, value in net.constants.items()} | start(module, net)


@pytest.fixture
def everything():
    torch.manual_seed(0)
    return Everything()


def test_the_graph_computes_what_the_module_computes(everything):
    net = capture(everything, (2, 6, 6))
    assert everything.training and everything.drop.training
    x = torch.rand(5, 2, 6, 6)
    with torch.no_grad():
        expected = everything.eval()(x)
    torch.testing.assert_close(evaluate(net.graph, params_of(everything, net), x), expected)
    assert {node.op for node in net.graph.nodes} == {"Conv", "Gemm", "Relu", "Add", "Sub", "Mul", "Div"} | {
        "Flatten",
        "Reshape",
    }


def test_shared_weights_are_one_parameter_and_frozen_ones_none(everything):
    net = capture(everything, (2, 6, 6))
    trained = {"conv.weight", "conv.bias", "same.weight", "norm.weight", "norm.bias", "scale"}
    trained |= {"first.weight", "first.bias", "second.weight", "second.bias"}
    assert set(net.parameters) == trained
    assert {"head.weight", "head.bias", "mean"} <= set(net.constants)
    assert net.weights == ("conv.weight", "same.weight", "first.weight", "second.weight")


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_bounds_of_a_captured_module_hold(everything, relaxation):
    net = capture(everything, (2, 6, 6))
    params, x, y = params_of(everything, net), torch.rand(2, 2, 6, 6), torch.tensor([0, 2])
    box = linf_box(x, 0.05, 0.0, 1.0)
    spec = margin_spec(y, 3)
    lower = RELAXATIONS[relaxation](net.graph, params, box, spec).lower
    for _ in range(50):
        point = box.lower + torch.rand_like(x) * (box.upper - box.lower)
        scores = evaluate(net.graph, params, point)
        assert (torch.einsum("bmk,bk->bm", spec.rows, scores) >= lower - 1e-4).all()


@pytest.mark.parametrize("relaxation", ["ibp", "deeppoly"])
def test_training_changes_the_weights_and_leaves_the_frozen_ones(everything, tmp_path, relaxation):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (60, 2, 6, 6)).astype(np.float32)
    y = (x.mean((1, 2, 3)) > 0.5).astype(np.int64)
    before = {name: value.clone() for name, value in everything.state_dict().items()}
    values = {"relaxation": relaxation, "method": "grad", "epochs": 2, "batch": 20, "anneal_end": 0.5}
    metrics = train_module(everything, x, torch.from_numpy(y), eps=0.01, run=tmp_path / "run", **values)
    assert metrics["epoch"] == 2 and 0 <= metrics["certified"] <= metrics["natural"] <= 1
    moved = {name for name, value in everything.state_dict().items() if not torch.equal(value, before[name])}
    expected = {"conv", "same", "norm", "first", "second", "again", "scale"}
    assert {name.partition(".")[0] for name in moved} == expected
    assert "norm.running_mean" not in moved and everything.again is everything.second


def test_the_trained_module_is_what_is_exported(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.rand(100, 3)
    y = (x[:, 0] > 0.5).long()
    run = tmp_path / "run"
    losses = []
    train_module(module, x, y, eps=[0.05, 0, 0.1], run=run, epochs=30, lr=0.02, relaxation="ibp", report=losses.append)
    epochs = [news.metrics["train_loss"] for news in losses if hasattr(news, "metrics")]
    assert epochs[-1] < epochs[0]
    export_model(model_folder(run), tmp_path / "m.onnx", "onnx", x.numpy())
    with torch.no_grad():
        assert np.allclose(open_onnx(tmp_path / "m.onnx")(x.numpy()), module(x).numpy(), atol=1e-5)
    from glscert.verifier.graph import load_model

    assert load_model(tmp_path / "m.onnx").metadata["eps"] == "0.05 0.0 0.1"


def test_the_command_line_exports_it_on_inputs_that_are_named(tmp_path):
    """The run keeps no tensors, so that `glscli export` is told what to check the file on."""
    x = torch.rand(30, 3)
    train_module(nn.Linear(3, 2), x, (x[:, 0] > 0.5).long(), eps=0.05, run=tmp_path / "run", epochs=1)
    np.savez(tmp_path / "x.npz", x=x.numpy(), y=np.zeros(30, np.int64))
    command = ["export", str(tmp_path / "m.onnx"), "--runs-dir", str(tmp_path), "--run", "run"]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, InputError) and "give inputs with --data" in str(refused.exception)
    done = CliRunner().invoke(app, [*command, "--data", str(tmp_path / "x.npz")])
    assert done.exit_code == 0 and (tmp_path / "m.onnx").exists()


class Stop(Exception):
    pass


def test_resumed_is_uninterrupted(tmp_path):
    def train_one(name, report=lambda news: None, **more):
        torch.manual_seed(1)
        module = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
        x = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
        values = {"relaxation": "ibp", "epochs": 2, "batch": 8, "checkpoint_steps": 1}
        train_module(module, x, (x[:, 0] > 0.5).long(), eps=0.1, run=tmp_path / name, report=report, **values, **more)
        return module.state_dict()

    def stop(news):
        if getattr(news, "step", 0) == 3:
            raise Stop

    whole = train_one("whole")
    with pytest.raises(Stop):
        train_one("stopped", stop)
    resumed = train_one("stopped", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(InputError, match=r"started with seed = 0, not 1"):
        train_one("stopped", resume=True, seed=1)
    with pytest.raises(InputError, match="already holds a run"):
        train_one("stopped")


def test_a_data_set_by_name(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    values = {"dataset": "digits", "relaxation": "ibp", "epochs": 1, "batch": 512, "eval_images": 32}
    metrics = train_module(module, eps=0.05, run=tmp_path / "run", **values)
    assert metrics["epoch"] == 1
    with pytest.raises(InputError, match=r"train_module\(…, resume=True\)"):
        train(tmp_path / "other", resolve({"net": "module"}), report=lambda news: None)


def two(*layers):
    return nn.Sequential(*layers)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        return self.linear(x) if x.sum() > 0 else -self.linear(x)


class Random(Branching):
    def forward(self, x):
        return self.linear(x) + torch.rand(1)


class Pair(Branching):
    def forward(self, x):
        return self.linear(x), x


class Product(Branching):
    def forward(self, x):
        return self.linear(x) * self.linear(x)


class Counting(Branching):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.linear(x) + self.calls


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (two(nn.Linear(3, 4), nn.Sequential(nn.GELU()), nn.Linear(4, 2)), (3,), r"gelu.default \(GELU '1.0'\) is not"),
        (two(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten()), (1, 4, 4), r"max_pool2d.default \(MaxPool2d '1'\)"),
        (two(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2)), (3,), "cannot be multiplied"),
        (nn.Linear(3, 1), (3,), "two or more classes"),
        (Branching(), (3,), "whatever the batch size and the numbers"),
        (Random(), (3,), r"operator rand.default \(in the forward of Random\)"),
        (Pair(), (3,), "returns several values"),
        (Product(), (3,), "two computed values"),
        (Counting(), (3,), r"add_.Tensor \(in the forward of Counting\) writes into 'calls'"),
        (two(nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 2)), (3,), "running statistics"),
        (two(nn.Unflatten(0, (1, -1)), nn.Flatten(0, 1), nn.Linear(3, 2)), (3,), "batch axis"),
    ],
)
def test_what_is_not_supported_is_named_with_its_place(module, shape, message):
    with pytest.raises(UnsupportedError, match=message):
        capture(module, shape)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.rand(9, 3), torch.zeros(8).long(), "one label each"),
        (torch.rand(9, 3), torch.zeros(9), "integer labels"),
        (torch.rand(9, 3).long(), torch.zeros(9).long(), "finite floats"),
        (torch.rand(9, 3) * torch.nan, torch.zeros(9).long(), "finite floats"),
        (torch.rand(9, 3), torch.full((9,), 2), "labels run from 2 to 2; the module gives 2 scores"),
        (torch.rand(9, 3) + 1, torch.zeros(9).long(), "outside the valid range"),
        (torch.rand(2, 3), torch.zeros(2).long(), "too few"),
    ],
)
def test_data_that_do_not_fit(tmp_path, x, y, message):
    with pytest.raises(InputError, match=message):
        train_module(nn.Linear(3, 2), x, y, eps=0.1, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_modules_with_nothing_to_train_or_in_another_precision():
    with pytest.raises(InputError, match="nothing is left to train"):
        capture(nn.Linear(3, 2).requires_grad_(False), (3,))
    with pytest.raises(InputError, match=r"module.float\(\)"):
        capture(nn.Linear(3, 2).double(), (3,))
