"""`glscli compare` as a user meets it."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier.errors import InputError


def invoke(*arguments):
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])


@pytest.fixture
def two(digits_run, tmp_path):
    """The same run under two names, the second with another seed in its configuration and worse in both accuracies."""
    runs = tmp_path / "runs"
    for name in ("one", "two"):
        shutil.copytree(digits_run, runs / name)
    config = json.loads((runs / "two" / "config.json").read_text())
    (runs / "two" / "config.json").write_text(json.dumps(config | {"seed": 1}))
    lines = (runs / "two" / "metrics.jsonl").read_text().splitlines()
    worse = json.dumps(json.loads(lines[-1]) | {"natural": 0.1, "certified": 0.05})
    (runs / "two" / "metrics.jsonl").write_text("\n".join([*lines[:-1], worse]) + "\n")
    return runs


def test_table_of_all_runs(two):
    done = invoke("--runs-dir", two)
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines() if " ibp " in line]
    assert [row[1] for row in rows] == ["one", "two"] and "*" in rows[0] and "*" not in rows[1]
    assert "10.00" in rows[1] and "5.00" in rows[1]


def test_json_with_a_report_and_the_cost(two, tmp_path):
    assert CliRunner().invoke(app, ["export", str(tmp_path / "m.onnx"), "--run", "one", "--runs-dir", str(two)])
    verify = ["verify", tmp_path / "m.onnx", "--images", "0:10", "--timeout", "5", "--out", tmp_path / "r.json"]
    assert CliRunner().invoke(app, [str(word) for word in verify]).exit_code in (0, 1, 3)
    done = invoke("one", two / "two", "--runs-dir", two, "--verified", f"one={tmp_path / 'r.json'}", "--cost", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    first, second = result["runs"]
    assert (result["schema"], result["dataset"], first["seed"], second["seed"]) == ("glscert/compare/1", "digits", 0, 1)
    assert first["verified_images"] == 10 and 0 <= first["verified"] <= first["verified_natural"] <= 1
    assert second["verified"] is None and first["pareto"] and not second["pareto"]
    assert first["cost"]["epochs_done"] == 2 and first["cost"]["core_hours_per_epoch"] > 0


def test_the_cost_in_a_table(two):
    done = invoke("one", "--runs-dir", two, "--cost")
    assert done.exit_code == 0 and "core-h/epoch" in done.stdout and "2/2" in done.stdout


@pytest.mark.parametrize("ending", ["svg", "png", "csv"])
def test_files_are_the_same_each_time(two, tmp_path, ending):
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    for path in (first, second):
        assert invoke("--runs-dir", two, "--out", path).exit_code == 0
    assert first.read_bytes() == second.read_bytes() != b""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--runs-dir", "nowhere"], "no training run in nowhere"),
        (["nowhere"], "no training run in"),
        (["RUN", "--verified", "short"], "is not RUN=FILE.json"),
        (["RUN", "--verified", "other=x.json"], "report for other"),
        (["RUN", "--out", "x.pdf"], "must end in"),
    ],
)
def test_a_bad_value_is_a_sentence(digits_run, arguments, sentence):
    done = invoke(*(digits_run if argument == "RUN" else argument for argument in arguments))
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)
