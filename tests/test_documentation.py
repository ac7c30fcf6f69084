"""The pages of docs/ do what they say: their Python and their commands, run in their order."""

import re
from pathlib import Path

import numpy as np
import torch
import yaml
from typer.testing import CliRunner

from gate_cases import UNSAT
from glscert.cli.main import app
from glscert.verifier.gate import LabelledInputs, Limits
from onnx_models import difference, make, node

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page):
    """(kind, text) of what is fenced."""
    return re.findall(r"```(\w+)\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def run(commands):
    """Each line, whose exit code is 0, or the number behind its `#`."""
    for line in commands.splitlines():
        command, _, code = line.partition("#")
        name, *arguments = command.split()
        assert name == "glscli"
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == int(code or 0), (line, done.output, done.exception)


def test_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    found = blocks("training.md")
    assert [kind for kind, _ in found] == ["python", "console", "python", "console", "console"]
    for kind, text in found:
        if kind == "python":
            exec(compile(text, "docs/training.md", "exec"), {"__name__": "example"})
        else:
            run(text)


def test_verification(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    consts = {"w1": np.float32([[1, -1], [-1, 1]]), "w2": np.float32([[1], [1]])}
    nodes = [node("MatMul", "x w1", "a"), node("Relu", "a", "b"), node("MatMul", "b w2", "y")]
    Path("distance.onnx").write_bytes(make(nodes, (1, 2), consts).SerializeToString())
    Path("properties").mkdir()
    texts = [text for kind, text in blocks("verification.md") if kind == "vnnlib"]
    for text in texts:
        name = text.split()[1]
        Path(name).write_text(text)
        (Path("properties") / name).write_text(text)
    for kind, text in blocks("verification.md"):
        if kind == "console":
            run(text)
    assert len(texts) == 2
    assert Path("answer.txt").read_text().startswith("sat\n((X_0 ")


def test_gate(tmp_path, monkeypatch):
    """The page's policy is met by models that it could be about; an engineer's first one comes before."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir(), Path("properties").mkdir()
    for name in ("classifier", "distance"):
        Path(f"models/{name}.onnx").write_bytes(difference().SerializeToString())
        Path(f"models/{name}.md").write_text("How it was trained.")
    Path("properties/far.vnnlib").write_text(UNSAT)
    x = np.full((60, 2), 0.5)
    for name in ("inputs.npz", "test.npz"):
        np.savez(name, x=x, y=np.zeros(60, np.int64))
    found = blocks("gate.md")
    (policy,) = [text for kind, text in found if kind == "toml"]
    first, *others = [text for kind, text in found if kind == "console"]
    run(first)
    Path("policy.toml").write_text(policy)
    for text in others:
        run(text)
    assert b"test-result" in Path("classifier.intoto.json").read_bytes()
    for text in (text for kind, text in found if kind == "yaml"):
        assert isinstance(yaml.safe_load(text), dict)


def test_gate_describes_every_key():
    text = (DOCS / "gate.md").read_text(encoding="utf-8")
    for key in (*LabelledInputs._fields, *Limits._fields, "required", "timeout", "memory", "seed", "name", "file"):
        assert f"`{key}`" in text, key
