"""`glscli verify --attestation`: an in-toto statement of what was decided, the same bytes for the same verdicts."""

import gzip
import hashlib
import json

import pytest
from typer.testing import CliRunner

from gate_cases import SAT, write
from glscert.cli.main import app
from glscert.verifier.answer.attestation import EXTENSION, statement


def attested(folder, *arguments, model="model.onnx", code=0):
    path = folder / "statement.json"
    done = CliRunner().invoke(app, ["verify", str(folder / model), *map(str, arguments), "--attestation", str(path)])
    assert done.exit_code == code, (done.output, done.exception)
    return path.read_bytes()


def inputs(folder, *arguments, **others):
    return attested(folder, "--data", folder / "data.npz", "--eps", "0.05", *arguments, **others)


def test_labelled_inputs(tmp_path):
    write(tmp_path)
    data = inputs(tmp_path, code=1)
    assert inputs(tmp_path, "--jobs", "2", code=1) == data
    found = json.loads(data)
    sha256 = hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert found["subject"] == [{"name": "model.onnx", "digest": {"sha256": sha256}}]
    predicate = found["predicate"]
    own = predicate.pop(EXTENSION)
    (asked,) = predicate.pop("configuration")
    assert asked["name"] == "data.npz 0:5" and len(asked["digest"]["glscertInputs"]) == 64
    assert predicate == {
        "result": "FAILED",
        "passedTests": ["data.npz 0:2", "data.npz 3:4"],
        "warnedTests": [],
        "failedTests": ["data.npz 2:3", "data.npz 4:5"],
    }
    assert own["counts"]["verified"] == 3 and own["question"]["eps"] == 0.05 and own["exitCode"] == 1
    assert own["arithmetic"] == "float32" and own["modelSha256"] == sha256 and own["tool"]["glscert"]
    assert not {"seconds", "path"} & set(str(own).replace("'", " ").split())


@pytest.mark.parametrize(
    ("arguments", "code", "result"),
    (
        (("--images", "0:2"), 0, "PASSED"),
        (("--min-certified", "0.6"), 0, "PASSED"),
        (("--min-certified", "0.7"), 1, "FAILED"),
    ),
)
def test_the_result_is_the_exit_codes(tmp_path, arguments, code, result):
    write(tmp_path)
    found = json.loads(inputs(tmp_path, *arguments, code=code))["predicate"]
    assert (found["result"], found[EXTENSION]["exitCode"]) == (result, code)
    policy = {"minCertified": float(arguments[1])} if "--min-certified" in arguments else None
    assert found[EXTENSION].get("policy") == policy


def test_what_stayed_open_is_a_warning(tmp_path):
    write(tmp_path)
    options = ("--data", tmp_path / "data.npz", "--eps", "0.1", "--images", "0:2", "--timeout", "0.3")
    found = json.loads(attested(tmp_path, *options, model="open.onnx", code=3))["predicate"]
    assert (found["result"], found["warnedTests"]) == ("WARNED", ["data.npz 0:1"])


def test_properties(tmp_path):
    write(tmp_path)
    (tmp_path / "properties" / "b.vnnlib").write_text(SAT)
    found = json.loads(attested(tmp_path, "--vnnlib", tmp_path / "properties", code=1))["predicate"]
    assert (found["passedTests"], found["failedTests"]) == (["a.vnnlib"], ["b.vnnlib"])
    digests = {each["name"]: each["digest"]["sha256"] for each in found["configuration"]}
    assert digests["b.vnnlib"] == hashlib.sha256(SAT.encode()).hexdigest()


def test_the_subject_is_the_file_as_it_lies_there(tmp_path):
    """Packed, its digest is another than the model's."""
    write(tmp_path)
    packed = gzip.compress((tmp_path / "model.onnx").read_bytes())
    (tmp_path / "model.onnx.gz").write_bytes(packed)
    found = json.loads(inputs(tmp_path, model="model.onnx.gz", code=1))
    assert found["subject"][0]["digest"]["sha256"] == hashlib.sha256(packed).hexdigest()
    assert found["predicate"][EXTENSION]["modelSha256"] != found["subject"][0]["digest"]["sha256"]


def test_a_certificate_written_beside_it(tmp_path):
    write(tmp_path)
    data = inputs(tmp_path, "--certificates", tmp_path / "model.cert", code=1)
    sha256 = hashlib.sha256((tmp_path / "model.cert").read_bytes()).hexdigest()
    assert json.loads(data)["predicate"][EXTENSION]["certificate"] == {"digest": {"sha256": sha256}}


def test_a_certificates_digest():
    record = {
        "model": {"sha256": "m"}, "versions": {}, "settings": {"arithmetic": "float32"}, "summary": {}, "results": [],
    }  # fmt: skip
    own = json.loads(statement("a", "b", record, 0, certificate="c" * 64))["predicate"][EXTENSION]
    assert own["certificate"] == {"digest": {"sha256": "c" * 64}} and own["arithmetic"] == "float32"


def test_a_model_that_changes_meanwhile_is_not_attested(tmp_path, monkeypatch):
    from glscert.cli import robustness

    write(tmp_path)
    answer = robustness.answer

    def swapped(*arguments, **options):
        (tmp_path / "model.onnx").write_bytes(b"another")
        return answer(*arguments, **options)

    monkeypatch.setattr(robustness, "answer", swapped)
    arguments = ["--data", tmp_path / "data.npz", "--eps", "0.05", "--attestation", tmp_path / "s.json"]
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "model.onnx"), *map(str, arguments)])
    assert "was changed while it was verified" in str(done.exception)
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize("place", ("none/x.json", "properties"))
def test_a_file_that_cannot_be_written(tmp_path, place):
    write(tmp_path)
    arguments = ["--data", tmp_path / "data.npz", "--eps", "0.05", "--attestation", tmp_path / place]
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "model.onnx"), *map(str, arguments)])
    assert done.exception is not None and done.exception.exit_code == 2


def test_a_query_of_the_standard_has_none(tmp_path):
    write(tmp_path)
    query = tmp_path / "properties" / "a.vnnlib"
    done = CliRunner().invoke(app, ["verify", str(query), "--attestation", str(tmp_path / "s.json")])
    assert "--attestation" in str(done.exception)
