"""`glscli train` and `glscli export` as a user meets them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.trainer import METHODS
from glscert.trainer.architectures import NETS
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.errors import InputError

QUICK = ["train", "--relaxation", "ibp", "--epochs", "1", "--batch", "512", "--threads", "1"]


def invoke(*arguments):
    """Exit code, stdout and stderr of `glscli arguments`; errors pass through, as main() would see them."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done


def test_train_then_export_with_nothing_but_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*QUICK, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["run"] == os.path.join("runs", "digits-digits-ibp-mtl-ibp-eps0.1-seed0")
    assert (
        result["options"]["warmup_alpha"] == 1.0
        and 0 <= result["result"]["certified"] <= result["result"]["natural"] <= 1
    )
    assert "epoch 5/5  candidate 5/5" in done.stderr and "images/s" in done.stderr and "left" in done.stderr
    exported = invoke("export", "model.onnx", "--json")
    assert exported.exit_code == 0, exported.output
    report = json.loads(exported.stdout)
    assert report["images_checked"] > 0 and report["bytes"] == (tmp_path / "model.onnx").stat().st_size


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_own_rows_from_training_to_proof(tmp_path, kind):
    """The exported file alone knows radii and ranges; the held-out rows are verified with them."""
    rng = np.random.default_rng(0)
    x, eps = rng.uniform(0, 10, (80, 2)), np.array([0.5, 0.0])
    y = (x[:, 0] > 5).astype(int)
    if kind == "csv":
        rows = [f"{a},{b},{label}" for (a, b), label in zip(x.tolist(), y, strict=True)]
        (tmp_path / "rows.csv").write_text("\n".join(["first,second,label", *rows]))
        stated = ["--eps", "0.5,0", "--range", "0,10"]
    else:
        np.savez(tmp_path / "rows.npz", x=x, y=y, eps=eps, low=np.zeros(2), high=np.array([10.0, 11.0]))
        stated = []
    own = ["--data", tmp_path / f"rows.{kind}", "--hidden", "8", "--runs-dir", tmp_path / "runs", "--run", "a"]
    done = invoke("train", "--relaxation", "ibp", "--epochs", "20", "--threads", "1", *own, *stated, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["eps_columns"] == [0.5, 0.0]
    assert ("labels: the column 'label' of rows.csv" in done.stderr) is (kind == "csv")
    model = tmp_path / "m.onnx"
    assert invoke("export", model, "--runs-dir", tmp_path / "runs").exit_code == 0
    np.savez(tmp_path / "plain.npz", x=x[:5], y=y[:5])
    for held_out in (tmp_path / "runs" / "a" / "test.npz", tmp_path / "plain.npz"):
        found = json.loads(invoke("verify", model, "--data", held_out, "--json").stdout)
        assert found["property"]["eps"] == [0.5, 0.0]
        assert found["property"]["range"] == [0.0, 10.0] if kind == "csv" else [[0.0, 0.0], [10.0, 11.0]]
        assert found["summary"]["verified"] > 0 and found["complete"]
    assert "does not name a data set" in str(invoke("verify", model).exception)


def test_a_second_run_of_the_same_options_gets_a_name_of_its_own(tmp_path):
    for _ in range(2):
        assert invoke(*QUICK, "--runs-dir", tmp_path).exit_code == 0
    first, second = sorted(path.name for path in tmp_path.iterdir())
    assert second == f"{first}-2"


def test_configuration_file_and_command_line(tmp_path):
    (tmp_path / "c.toml").write_text('seed = 7\neps = 0.5\nmethod = "grad"\n')
    done = invoke(*QUICK, "--config", tmp_path / "c.toml", "--eps", "2/255", "--runs-dir", tmp_path, "--json")
    result = json.loads(done.stdout)
    assert (result["seed"], result["method"], result["eps"]) == (7, "grad", 2 / 255)


def test_options_of_the_method_win_one_by_one_over_the_file(tmp_path):
    (tmp_path / "c.toml").write_text('method = "sabr"\n[options]\neps_shrinkage = 0.5\nsteps = 7\n')
    options = ["--option", "steps=2", "--option", "restarts=1"]
    done = invoke(*QUICK, "--config", tmp_path / "c.toml", *options, "--runs-dir", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["options"]
    assert (found["eps_shrinkage"], found["steps"], found["restarts"], found["relu_shrinkage"]) == (0.5, 2, 1, 1.0)


def test_help_names_every_method_net_and_relaxation():
    help = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300"}).output
    words = set(help.replace(",", " ").replace(";", " ").replace(":", " ").replace(".", " ").split())
    assert {*METHODS, *NETS, *RELAXATIONS} <= words


def test_resume_of_a_finished_run_shows_it(tmp_path):
    assert invoke(*QUICK, "--runs-dir", tmp_path, "--run", "a").exit_code == 0
    done = invoke("train", "--resume", "--runs-dir", tmp_path, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["result"]["epoch"] == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--eps", "-0.1"], "eps = -0.1 must be"),
        (["--eps", "big"], "write 0.1 or 2/255"),
        (["--eps", "1/0"], "write 0.1 or 2/255"),
        (["--net", "resnet"], "net = 'resnet' is not known"),
        (["--resume", "--eps", "0.1"], "leave --eps out"),
        (["--resume", "--option", "sigma=1"], "leave --option out"),
        (["--option", "sigma"], "--option sigma is not NAME=VALUE"),
        (["--method", "pgd", "--option", "alpha=1"], "alpha is not an option (known: steps, restarts, step_size)"),
        (["--method", "rgs", "--option", "sigma=inf"], "sigma = inf must be a finite number"),
        (["--method", "rgs", "--option", "samples=1.5"], "samples = 1.5 must be a valid integer"),
        (["--method", "grad", "--option", "sigma=1"], "sigma is not an option (known: none)"),
        (["--method", "taps", "--option", "relus=3"], "relus = 3, but the network has 2"),
        (["--resume"], "no training run"),
        (["--dataset", "mnist", "--net", "cnn3", "--data-dir", "FILE"], "is not a folder"),
        (["--device", "abacus"], "device = 'abacus' is not supported; give cpu, cuda"),
        (["--dataset", "digits", "--net", "cnn5", "--lr", "0"], "lr = 0.0 must be greater"),
        (["--config", "none.toml"], "no configuration file"),
        (["--label", "first"], "names a column of a .csv"),
        (["--resume", "--label", "first"], "leave --label out"),
    ],
)
def test_a_bad_value_is_a_sentence(tmp_path, arguments, sentence):
    (tmp_path / "file").touch()
    arguments = [str(tmp_path / "file") if argument == "FILE" else argument for argument in arguments]
    done = invoke("train", "--runs-dir", tmp_path / "runs", *arguments)
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)
    assert not (tmp_path / "runs").exists()


def test_in_a_process_of_its_own_a_bad_value_ends_with_code_2_and_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "glscert.cli.main", "train", "--eps", "-1", "--runs-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("glscli: eps = -1.0 must be") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no training run"),
        (["--run", "b"], "no training run"),
        (["--run", "a", "--format", "gguf"], "gguf"),
        (["--run", "a", "--format", "program"], "ends as onnx, not as program; name it ….pt2"),
    ],
)
def test_export_refuses_with_a_sentence(tmp_path, arguments, sentence):
    if "a" in arguments:
        assert invoke(*QUICK, "--runs-dir", tmp_path, "--run", "a").exit_code == 0
    done = invoke("export", tmp_path / "m.onnx", "--runs-dir", tmp_path, *arguments)
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)
    assert not (tmp_path / "m.onnx").exists()


def test_export_chooses_by_the_ending(digits_run, tmp_path):
    runs = ["--runs-dir", digits_run.parent, "--run", digits_run.name]
    for name in ("m.pt", "m.tflite", "m", "m.onnx.gz"):
        done = invoke("export", tmp_path / name, *runs)
        assert isinstance(done.exception, InputError) and not (tmp_path / name).exists()
        assert f"{name} does not end as a format does: .onnx (onnx), .ts.pt (torchscript), .pt2" in str(done.exception)
    for name, more, format in (("m.PT2", [], "program"), ("m.ts.pt", [], "torchscript"), ("m.bin", ["onnx"], "onnx")):
        stated = ["--format", *more] if more else []
        done = invoke("export", tmp_path / name, *runs, *stated, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["format"] == format and (tmp_path / name).exists()


def test_pgpe_starts_from_another_run_in_the_same_folder(tmp_path):
    assert invoke(*QUICK, "--runs-dir", tmp_path, "--run", "first").exit_code == 0
    (tmp_path / "small.toml").write_text("[options]\npopulation = 4\n")
    more = ["--method", "pgpe", "--start", "first", "--memory-budget", "8", "--config", tmp_path / "small.toml"]
    done = invoke(*QUICK, *more, "--runs-dir", tmp_path, "--run", "second", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["start"] == str(tmp_path / "first") and result["memory_budget"] == 8
    assert result["options"]["population"] == 4 and result["lr"] == 0.01


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--start", "none"], "start = none is not there"),
        (["--actors", "2"], "mtl-ibp has none; use --method pgpe"),
        (["--method", "pgpe", "--memory-budget", "0.001"], "memory_budget = 0.001 MiB is too little"),
        (["--resume", "--memory-budget", "1"], "--memory-budget out"),
    ],
)
def test_populations_and_starts_that_cannot_be(tmp_path, arguments, sentence):
    done = invoke(*QUICK, "--runs-dir", tmp_path / "runs", *arguments)
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)
    assert not (tmp_path / "runs").exists()


def test_stages_from_the_command_line(tmp_path):
    stages = ["--warmup-relaxation", "crown-ibp", "--restarts", "2", "--keep", "best", "--no-regulariser"]
    place = ["--runs-dir", tmp_path, "--run"]
    done = invoke(*QUICK, "--epochs", "3", *stages, *place, "first", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    expected = {"warmup_relaxation": "crown-ibp", "restarts": 2, "keep": "best", "held_out": 0.1, "regulariser": False}
    assert expected.items() <= result.items() and result["result"]["epoch"] == 4
    assert "epoch 1/4  candidate 1/2" in done.stderr and "epoch 4/4  loss" in done.stderr
    started = invoke(*QUICK, "--start", "first", *place, "second", "--json")
    assert started.exit_code == 0, started.output
    assert {"anneal": False, "regulariser": False, "restarts": 1}.items() <= json.loads(started.stdout).items()
    compared = invoke("compare", "first", "second", "--runs-dir", tmp_path)
    assert "4" in compared.stdout and "dead/on" in compared.stdout
    refused = invoke(*QUICK, "--start", "first", "--anneal", "--restarts", "2", *place, "third")
    assert isinstance(refused.exception, InputError) and "weights to start from are given" in str(refused.exception)
