"""A policy whose models are answered by certificates: what the checker accepts counts, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier.check.certificate import decode, encode
from glscert.verifier.check.values import Certificate
from onnx_models import make, node

POLICY = """
[[model]]
file = "model.onnx"
data = "data.npz"
eps = {eps}
certificate = "model.cert"
min_certified = {least}
{more}
"""
COUNT = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, inputs and a certificate of what verify says of them."""
    folder = tmp_path_factory.mktemp("certified")
    rng = np.random.default_rng(0)
    consts = {"w": rng.normal(size=(2, 8)), "v": rng.normal(size=(8, 2)), "b": rng.normal(size=8)}
    consts = {key: value.astype(np.float32) for key, value in consts.items()}
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    (folder / "model.onnx").write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    x = rng.uniform(size=(COUNT, 2)).astype(np.float32)
    hidden = np.maximum(x @ consts["w"] + consts["b"], 0)
    y = (hidden @ consts["v"]).argmax(1)
    y[:3] = 1 - y[:3]
    np.savez(folder / "data.npz", x=x, y=y)
    ran = verified(folder, "0.02")
    assert ran["certificates"]["covered"] == COUNT
    return folder, ran["summary"]


def verified(folder: Path, eps: str) -> dict:
    command = ["verify", folder / "model.onnx", "--data", folder / "data.npz", "--eps", eps, "--json"]
    done = CliRunner().invoke(app, list(map(str, [*command, "--certificates", folder / "model.cert"])))
    return json.loads(done.stdout)


def gated(folder: Path, *, eps: float = 0.02, least: float = 0.1, more: str = "") -> tuple[int, dict]:
    (folder / "policy.toml").write_text(POLICY.format(eps=eps, least=least, more=more))
    done = CliRunner().invoke(app, ["gate", str(folder / "policy.toml"), "--json"])
    return done.exit_code, json.loads(done.stdout)


def changed(folder: Path, **changes) -> None:
    found = decode((folder / "model.cert").read_bytes())
    kept = {name: getattr(found, name) for name in Certificate.__dataclass_fields__}
    (folder / "model.cert").write_bytes(encode(Certificate(**kept | changes)))


@pytest.fixture
def folder(made, tmp_path):
    for file in made[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_certificate_answers_as_verify_did(folder, made):
    code, report = gated(folder, more="min_natural = 0.8")
    (model,) = report["models"]
    counts = {key: made[1][key] for key in ("verified", "falsified", "misclassified", "unknown")}
    assert code == 0 and {key: model["summary"][key] for key in counts} == counts


def test_what_it_leaves_out_is_unknown_or_misclassified(folder, made):
    found = decode((folder / "model.cert").read_bytes())
    changed(folder, answers=found.answers[:1] + found.answers[COUNT // 2 :])
    code, report = gated(folder, least=made[1]["certified_accuracy"], more="min_natural = 0.9")
    (model,) = report["models"]
    states = {each["name"]: each["state"] for each in model["requirements"]}
    assert code == 1 and model["summary"]["misclassified"] == made[1]["misclassified"]
    assert states == {"min_certified": "missed", "min_natural": "missed"}


@pytest.mark.parametrize(
    ("eps", "more", "sentence"),
    (
        (0.01, "", "is about another eps"),
        (0.02, 'arithmetic = "real"', "in float32 arithmetic, the policy asks for real"),
    ),
)
def test_it_is_about_what_the_policy_asks(folder, eps, more, sentence):
    code, report = gated(folder, eps=eps, more=more)
    assert code == 2 and sentence in report["models"][0]["error"]


def test_another_model_is_refused(folder):
    data = bytearray((folder / "model.onnx").read_bytes())
    consts = {"w": np.ones((2, 8), np.float32), "v": np.ones((8, 2), np.float32), "b": np.ones(8, np.float32)}
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    (folder / "model.onnx").write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    assert bytes(data) != (folder / "model.onnx").read_bytes()
    code, report = gated(folder)
    assert code != 0 and "it is of the model" in report["models"][0]["error"]


def test_a_damaged_one_is_refused(folder):
    data = bytearray((folder / "model.cert").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.cert").write_bytes(bytes(data))
    code, report = gated(folder)
    assert code != 0 and report["models"][0]["error"]
