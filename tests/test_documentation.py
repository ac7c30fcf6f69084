"""The pages of docs/ do what they say: their Python and their commands, run in their order."""

import re
from pathlib import Path

import numpy as np
import torch
from typer.testing import CliRunner

from glscert.cli.main import app
from onnx_models import make, node

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
