"""`glscli inspect` says what is in a file, all that stands in the way, and what a bound costs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier.engine.engine import Engine
from glscert.verifier.errors import InputError, UnsupportedError
from onnx_models import make, mlp, mlp_consts, mlp_nodes, node


def inspect(*arguments: object):
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(mlp().SerializeToString())
    return path


def test_a_network_is_described(network: Path) -> None:
    result = inspect(network, "--eps", "0.2", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["operators"] == {"Gemm": 2, "Relu": 1}
    assert (found["input_shape"], found["outputs"], found["parameters"]) == ([6], 3, 6 * 5 + 5 + 5 * 3 + 3)
    assert [layer["neurons"] for layer in found["layers"]] == [5]
    assert found["unstable"] == sum(layer["unstable"] for layer in found["layers"])
    assert found["seconds_per_bound"] >= 0


def test_a_wider_ball_has_no_fewer_unstable_neurons(network: Path) -> None:
    counts = [json.loads(inspect(network, "--eps", eps, "--json").stdout)["unstable"] for eps in ("1e-9", "0.1", "0.5")]
    assert counts == sorted(counts)
    assert counts[0] == 0 < counts[-1]


def test_data_give_the_point(network: Path, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a,b,c,d,e,f,y\n0,0,0,0,0,0,1\n")
    assert "to expect" in inspect(network, "--eps", "0.01", "--data", tmp_path / "one.csv").stdout


def test_what_keeps_the_bounds_from_being_compiled_is_said(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "why", "no C compiler was found")
    assert json.loads(inspect(network, "--json").stdout)["not_compiled"] == "no C compiler was found"
    assert "in numpy, which takes longer, because no C compiler was found\n" in inspect(network).stdout
    monkeypatch.setattr(Engine, "why", None)
    assert json.loads(inspect(network, "--json").stdout)["not_compiled"] is None
    assert "because" not in inspect(network, "--eps", "0.1").stdout


def test_every_unsupported_operator_is_named(tmp_path: Path) -> None:
    nodes = [*mlp_nodes()[:2], node("Softmax", "r", "s"), node("Shrink", "s", "y")]
    path = tmp_path / "net.onnx"
    path.write_bytes(make(nodes, ["batch", 6], mlp_consts()).SerializeToString())
    result = inspect(path)
    assert isinstance(result.exception, UnsupportedError)
    assert result.exception.exit_code == 4
    assert "Shrink (node 'y')" in result.stdout and "Softmax (node 's')" in result.stdout
    assert "only be the network's last" in result.stdout


def test_a_last_softmax_is_named(tmp_path: Path) -> None:
    nodes = [*mlp_nodes()[:2], node("Softmax", "r", "y")]
    path = tmp_path / "net.onnx"
    path.write_bytes(make(nodes, ["batch", 6], mlp_consts()).SerializeToString())
    assert json.loads(inspect(path, "--json").stdout)["ending"] == "Softmax"
    assert "5 outputs of a last Softmax" in inspect(path).stdout


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(mlp().SerializeToString()[:100])
    assert isinstance(inspect(path).exception, InputError)
