"""docs/python.md does what it says, and importing the package loads nothing heavy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import glscert.verifier

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    known = {"__name__": "__main__"}  # as of the script that the page is
    for text in blocks:
        exec(compile(text, "docs/python.md", "exec"), known)
    assert known["apart"].witness.x.shape == (2,) and len(known["told"]) == 2


def test_importing_loads_neither_torch_nor_onnx():
    code = "import sys, glscert.verifier; print(sorted({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_exported_name_is_there():
    for name in glscert.verifier.__all__:
        assert getattr(glscert.verifier, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        glscert.verifier.nothing  # noqa: B018
