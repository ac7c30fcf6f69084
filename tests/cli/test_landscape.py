"""`glscli landscape` as a user meets it."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.trainer import load_trained
from glscert.trainer.toy import TOYS
from glscert.verifier.errors import InputError

SMALL = ("--points", "5", "--images", "4", "--threads", "1")


def invoke(*arguments):
    return CliRunner().invoke(app, ["landscape", *(str(argument) for argument in arguments)])


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_points_of_every_relaxation_sigma_and_population(digits_run):
    done = invoke(digits_run, *SMALL, "--sigma", "0.01,0.1", "--population", "4,8", "--relaxations", "ibp", "--csv")
    assert done.exit_code == 0, done.output
    found = rows(done.stdout)
    assert len(found) == 5 * (1 + 2 * 2) and {row["function"] for row in found} == {"ibp"}
    assert sorted({float(row["distance"]) for row in found}) == [-1, -0.5, 0, 0.5, 1]
    curves = {(float(row["sigma"]), row["population"]) for row in found}
    assert curves == {(0, "1"), (0.01, "4"), (0.01, "8"), (0.1, "4"), (0.1, "8")}
    middle = {row["sigma"]: float(row["loss"]) for row in found if float(row["distance"]) == 0}
    assert middle["0.01"] == pytest.approx(middle["0.0"], rel=0.02)  # little noise changes the loss little


def test_the_original_at_0_is_the_loss_of_the_run(digits_run):
    options = ("--sigma", "0.1", "--population", "4", "--relaxations", "ibp", "--csv", "--seed", "3")
    found = rows(invoke(digits_run, *SMALL, *options).stdout)
    setup, params = load_trained(digits_run)
    parts = setup.objective.robust_loss(params, setup.train_x[:4], setup.train_y[:4], setup.config.eps)
    assert float(found[2]["loss"]) == pytest.approx(float(parts.terms.sum()) / 4, rel=1e-5)


@pytest.mark.parametrize("ending", ["svg", "png", "csv"])
def test_the_same_file_each_time(digits_run, tmp_path, ending):
    paths = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    for path in paths:
        options = ("--sigma", "0.01,0.1", "--population", "4,6", "--relaxations", "ibp,deeppoly", "--out", path)
        done = invoke(digits_run, *SMALL, *options)
        assert done.exit_code == 0 and done.stdout == ""
    assert paths[0].read_bytes() == paths[1].read_bytes() != b""


def test_toys(tmp_path):
    done = invoke("--toy", "--points", "11", "--population", "200", "--csv", "--out", tmp_path / "toys.svg")
    assert done.exit_code == 0, done.output
    found = rows(done.stdout)
    assert {row["function"] for row in found} == set(TOYS) and len(found) == 11 * 2 * 4
    assert all((row["exact"] == "") == (row["sigma"] == "0.0") for row in found)
    off = [abs(float(row["loss"]) - float(row["exact"])) for row in found if row["exact"]]
    assert 0 < max(off) < 0.5
    assert (tmp_path / "toys.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["RUN"], "nothing to write"),
        (["RUN", "--csv", "--sigma", "0"], "positive numbers"),
        (["RUN", "--csv", "--sigma", "small"], "--sigma small is not a number"),
        (["RUN", "--csv", "--population", "7"], "even numbers from 4"),
        (["RUN", "--csv", "--population", "8.5"], "even numbers from 4"),
        (["RUN", "--csv", "--population", "2"], "even numbers from 4"),
        (["RUN", "--csv", "--points", "10"], "an odd number"),
        (["RUN", "--csv", "--distance", "-1"], "--distance -1.0 must be positive"),
        (["RUN", "--csv", "--relaxations", "magic"], "magic is not known"),
        (["RUN", "--out", "x.txt"], "must end in"),
        (["nowhere", "--csv"], "no training run in"),
    ],
)
def test_a_bad_value_is_a_sentence(digits_run, arguments, sentence):
    done = invoke(*(digits_run if argument == "RUN" else argument for argument in arguments))
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)


def test_too_little_memory_is_a_sentence(digits_run, tmp_path):
    run = tmp_path / "poor"
    run.mkdir()
    for name in ("checkpoints", "metrics.jsonl"):
        (run / name).symlink_to(digits_run / name)
    config = json.loads((digits_run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"memory_budget": 1e-6}))
    done = invoke(run, *SMALL, "--csv")
    assert isinstance(done.exception, InputError) and "memory_budget" in str(done.exception)
