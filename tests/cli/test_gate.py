"""`glscli gate` as a pipeline meets it: exit codes, the object, the reports, the baseline, a first policy."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gate_cases import POLICY, PROPERTIES, SAT, write
from glscert.cli.main import app
from onnx_models import difference


def invoke(*arguments):
    return CliRunner().invoke(app, ["gate", *map(str, arguments)])


def gate(tmp_path, text, *arguments):
    """The exit code and the object."""
    done = invoke(write(tmp_path, text), "--json", *arguments)
    assert done.stdout.count("\n") == 1, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.exit_code and found["met"] == (done.exit_code == 0)
    return done.exit_code, found


def states(found):
    """Of what is not met."""
    every = (each for model in found["models"] for each in model["requirements"])
    return {each["name"]: each["state"] for each in every if each["state"] != "met"}


def test_no_inputs_meet_no_policy(tmp_path):
    write(tmp_path, POLICY)
    shape = np.load(tmp_path / "data.npz")["x"].shape[1:]
    np.savez(tmp_path / "data.npz", x=np.zeros((0, *shape), np.float32), y=np.zeros(0, int))
    limits = '[[model]]\nfile = "model.onnx"\neps = 0.05\ndata = "data.npz"\nmax_falsified = 0\n'
    (tmp_path / "policy.toml").write_text(limits)
    done = invoke(tmp_path / "policy.toml", "--json")
    assert done.exit_code == 2 and "no inputs" in json.loads(done.stdout)["models"][0]["error"]


def test_packed_models_have_to_be_named_too(tmp_path):
    write(tmp_path, POLICY)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "other.onnx.gz").write_bytes(b"")
    (tmp_path / "policy.toml").write_text('complete = "packed"\n' + POLICY)
    done = invoke(tmp_path / "policy.toml", "--json")
    assert done.exit_code == 1 and "other.onnx.gz" in json.loads(done.stdout)["requirements"][0]["found"]


OPEN = '[[model]]\nfile = "open.onnx"\neps = 0.1\ndata = "data.npz"\nimages = "0:2"\ntimeout = 0.3\n'


def test_the_object_names_what_is_not_verified(tmp_path):
    _, found = gate(tmp_path, POLICY)
    (model,) = found["models"]
    assert model["summary"] == {"verified": 3, "falsified": 1, "misclassified": 1, "unknown": 0, "error": 0}
    assert model["named"] == {"falsified": ["2"], "misclassified": ["4"], "unknown": [], "error": []}
    assert (model["name"], model["line"], model["state"], model["source"]) == ("model.onnx", 1, "met", "data.npz")


@pytest.mark.parametrize(
    ("text", "code", "missed"),
    (
        (POLICY, 0, set()),
        (POLICY + PROPERTIES, 0, set()),
        (POLICY.replace("0.6", "0.61"), 1, {"min_certified"}),
        (POLICY.replace("0.8", "0.81"), 1, {"min_natural"}),
        (POLICY.replace("max_falsified = 1", "max_falsified = 0"), 1, {"max_falsified"}),
        ('complete = "."\n' + POLICY, 1, set()),  # open.onnx is not named
        ('beside = ".toml"\n' + POLICY, 1, set()),
        ('beside = [".json", ".npz"]\n' + POLICY, 1, set()),
        (OPEN + "max_unknown = 1\n", 0, set()),
        (OPEN + "max_unknown = 0\n", 3, {"max_unknown"}),
        (OPEN + "max_unknown = 0\n" + POLICY.replace("0.6", "0.7"), 1, {"max_unknown", "min_certified"}),
        (POLICY.replace('"data.npz"', '"none.npz"'), 2, set()),
        (POLICY.replace('"model.onnx"', '"none.onnx"'), 2, set()),
        (POLICY.replace("0.05", "[0.1, 0.2, 0.3]"), 2, set()),
        (POLICY + 'images = "0:6"\n', 2, set()),
        (POLICY.replace('"data.npz"', '"none.npz"') + "required = false\n", 0, set()),
        (
            PROPERTIES.replace("properties = ", "required = false\nproperties = ").replace('"properties"', '"x"'),
            0,
            set(),
        ),
        (PROPERTIES.replace('"properties"', '"x"'), 2, set()),
    ),
)
def test_exit_codes(tmp_path, text, code, missed):
    found_code, found = gate(tmp_path, text)
    assert found_code == code, found
    assert set(states(found)) == missed


def test_what_goes_wrong_with_one_model_leaves_the_others(tmp_path):
    code, found = gate(tmp_path, POLICY.replace('"data.npz"', '"none.npz"') + PROPERTIES)
    broken, fine = found["models"]
    assert code == 2
    assert broken["state"] == "error" and "none.npz" in broken["error"]
    assert fine["summary"]["verified"] == 1


def test_an_unsupported_model_is_code_4(tmp_path):
    from onnx_models import make, node

    write(tmp_path)
    path = write(tmp_path)
    path.write_text(POLICY.replace("model.onnx", "strange.onnx"))
    proto = make([node("Det", "x", "y")], (2, 2), {})
    (tmp_path / "strange.onnx").write_bytes(proto.SerializeToString())
    assert invoke(path).exit_code == 4


def test_properties_that_are_sat_or_no_properties(tmp_path):
    path = write(tmp_path, PROPERTIES)
    (tmp_path / "properties" / "b.vnnlib").write_text(SAT)
    done = invoke(path, "--json")
    assert (done.exit_code, states(json.loads(done.stdout))["max_falsified"]) == (1, "missed")
    (tmp_path / "properties" / "b.vnnlib").write_text("(assert")
    done = invoke(path, "--json")
    assert (done.exit_code, states(json.loads(done.stdout))["readable"]) == (2, "error")
    assert "b.vnnlib" in done.stderr


def test_the_words_are_the_policys(tmp_path):
    done = invoke(write(tmp_path, POLICY.replace("eps = 0.05\n", "")))
    assert done.exit_code == 2
    said = " ".join(done.stdout.split())
    assert "give the radius with eps" in said and "--eps" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    (
        (["policy.toml", "model.onnx"], "goes with --init"),
        (["policy.toml", "--update-baseline"], "goes with --baseline"),
        (["policy.toml", "--baseline", "none.json"], "--update-baseline"),
        (["policy.toml", "--junit", "none/x.xml"], "a folder that exists"),
        (["policy.toml", "--sarif", "properties"], "is a folder; --sarif names a file"),
        (["policy.toml", "--init"], "name their ONNX files"),
        (["policy.toml", "--init", "model.onnx"], "policy.toml exists"),
        (["new.toml", "--init", "data.npz"], "data.npz"),
        (["new.toml", "--init", "../x.onnx"], "leads out of it"),
        (["data.npz"], "is not valid TOML"),
    ),
)
def test_wrong_usage_ends_with_2(tmp_path, monkeypatch, arguments, said):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exception is not None and said in str(done.exception)
    assert done.exception.exit_code == 2


def test_the_table_names_what_was_lost_and_won(tmp_path):
    path, base = write(tmp_path), tmp_path / "base.json"
    first = invoke(path, "--baseline", base, "--update-baseline")
    assert first.exit_code == 0, first.output
    assert invoke(path, "--baseline", base).exit_code == 0
    x = np.array([[0.5, 0.5], [0.25, 0.25], [0.5, 0.7], [0.75, 0.75], [0.5, 0.5]], np.float32)
    (tmp_path / "model.onnx").write_bytes(difference(0.05).SerializeToString())  # eps 0.05 is too much for all of them
    done = invoke(path, "--baseline", base)
    assert done.exit_code == 1
    assert "3 lost: input 0 (verified -> falsified), 1 (verified -> falsified), 3 (verified" in done.stdout
    assert "max_lost" in done.stdout
    (tmp_path / "model.onnx").write_bytes(difference(0.5).SerializeToString())
    done = invoke(path, "--baseline", base)
    assert done.exit_code == 0, done.output
    assert "1 won: input 2 (falsified -> verified)" in done.stdout
    np.savez(tmp_path / "data.npz", x=x[::-1], y=np.array([0, 0, 0, 0, 1]))
    done = invoke(path, "--baseline", base)
    assert done.exit_code == 2
    assert "for another data" in done.stdout
    assert invoke(path, "--baseline", base, "--update-baseline").exit_code == 0
    assert invoke(path, "--baseline", base).exit_code == 0


def test_lost_as_many_as_allowed(tmp_path):
    limits = "min_certified = 0.6\nmin_natural = 0.8\nmax_falsified = 1\n"
    path, base = write(tmp_path, POLICY.replace(limits, "max_lost = 2\n")), "b"
    assert invoke(path, "--baseline", tmp_path / base, "--update-baseline").exit_code == 0
    (tmp_path / "model.onnx").write_bytes(difference(0.05).SerializeToString())
    assert invoke(path, "--baseline", tmp_path / base).exit_code == 1
    path.write_text(path.read_text().replace("max_lost = 2", "max_lost = 3"))
    assert invoke(path, "--baseline", tmp_path / base).exit_code == 0


def test_proofs_lost_to_what_stayed_open_are_undecided(tmp_path):
    text = OPEN + "max_unknown = 2\n"
    path, base = write(tmp_path, text), tmp_path / "b"
    assert invoke(path, "--baseline", base, "--update-baseline").exit_code == 0
    assert '"uv"' in base.read_text()
    base.write_text(base.read_text().replace('"uv"', '"vv"'))
    code, found = gate(tmp_path, text, "--baseline", base)
    assert (code, states(found)["max_lost"]) == (3, "undecided")
    assert [each["after"] for each in found["models"][0]["lost"]] == ["unknown"]


def test_skipped_models_keep_their_baseline(tmp_path):
    path, base = write(tmp_path, POLICY + "required = false\n"), tmp_path / "b"
    assert invoke(path, "--baseline", base, "--update-baseline").exit_code == 0
    text = base.read_text()
    (tmp_path / "data.npz").unlink()
    done = invoke(path, "--baseline", base, "--update-baseline")
    assert done.exit_code == 0 and "skipped" in done.stdout
    assert base.read_text() == text


def test_a_policy_to_begin_with(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    np.savez("inputs.npz", x=np.float32([[0.5, 0.5]]), y=np.array([0]))
    done = invoke("first.toml", "--init", "model.onnx", tmp_path / "open.onnx")
    assert done.exit_code == 0, done.exception
    done = invoke("first.toml", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    assert [model["file"] for model in found["models"]] == ["model.onnx", "open.onnx"]


def test_several_processes_say_the_same(tmp_path):
    _, alone = gate(tmp_path, POLICY + PROPERTIES)
    _, shared = gate(tmp_path, POLICY + PROPERTIES, "--jobs", 2)
    for found in (alone, shared):
        for model in [found, *found["models"]]:
            model.pop("seconds")
    assert alone == shared
