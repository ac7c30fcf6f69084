"""`glscli tightness` as a user meets it."""

import csv
import json

import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.errors import InputError


def invoke(*arguments):
    return CliRunner().invoke(app, ["tightness", "--threads", "1", *(str(argument) for argument in arguments)])


def test_all_relaxations_as_json_and_curves_as_csv(digits_run, tmp_path):
    done = invoke(digits_run, "--images", "0:30", "--points", "6", "--json", "--out", tmp_path / "t.csv")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["images"] == {"split": "test", "first": 0, "last": 30}
    found = {entry["relaxation"]: entry["tightness"] for entry in result["relaxations"]}
    assert list(found) == list(RELAXATIONS) and min(found.values()) > 0
    with (tmp_path / "t.csv").open() as file:
        assert [row["eps"] for row in csv.DictReader(file)].count("0.0") == len(RELAXATIONS)


def test_the_newest_run_in_a_table_and_the_same_svg_twice(digits_run, tmp_path):
    options = ("--runs-dir", digits_run.parent, "--relaxations", "ibp", "--images", ":20", "--points", "3")
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for picture in pictures:
        done = invoke(*options, "--out", picture)
        assert done.exit_code == 0 and "short, 20 test images" in done.stdout and "ibp" in done.stdout
    first, second = (picture.read_bytes() for picture in pictures)
    assert first == second and first.startswith(b"<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.svg"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--runs-dir", "nowhere"], "no training run in nowhere"),
        (["nowhere"], "no training run in"),
        (["RUN", "--relaxations", "ibp,magic"], "magic is not known"),
        (["RUN", "--relaxations", ","], "nothing is not known"),
        (["RUN", "--images", "400:"], "selects nothing of 360"),
        (["RUN", "--max-eps", "0"], "must be above 0"),
        (["RUN", "--max-eps", "wide"], "--max-eps wide is not a number"),
        (["RUN", "--out", "curves.gif"], "must end in .png"),
        (["RUN", "--out", "nowhere/curves.png"], "nowhere is not a folder"),
    ],
)
def test_a_bad_value_is_a_sentence(digits_run, arguments, sentence):
    done = invoke(*(digits_run if argument == "RUN" else argument for argument in arguments))
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)


def test_a_run_that_was_stopped_before_its_first_checkpoint(tmp_path, digits_run):
    run = tmp_path / "young"
    run.mkdir()
    (run / "config.json").write_bytes((digits_run / "config.json").read_bytes())
    done = invoke(run)
    assert isinstance(done.exception, InputError) and "no checkpoint" in str(done.exception)
