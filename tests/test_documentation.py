"""docs/training.md does what it says: its Python and its commands, run in their order."""

import re
from pathlib import Path

import torch
from typer.testing import CliRunner

from glscert.cli.main import app

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    blocks = re.findall(r"```(\w+)\n(.*?)```", (DOCS / "training.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "console", "python", "console"]
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, "docs/training.md", "exec"), {"__name__": "example"})
            continue
        for line in text.splitlines():
            command, *arguments = line.split()
            assert command == "glscli"
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, (line, done.output, done.exception)
