"""The competition's three scripts, as its driver calls them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_models import make, node

SCRIPTS = Path(__file__).resolve().parents[2] / "vnncomp_scripts"
TEXT = """(declare-const X_0 Real) (declare-const Y_0 Real)
(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (>= Y_0 {}))"""


@pytest.fixture
def folder(tmp_path):
    """y = 2 relu(x), and a `glscli` on the path that is this one."""
    nodes = [node("Relu", "x", "r"), node("MatMul", "r w", "y")]
    model = make(nodes, ("batch", 1), {"w": np.float32([[2]])})
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "sat.vnnlib").write_text(TEXT.format("1.5"))
    (tmp_path / "strange.vnnlib").write_text(TEXT.format("(* X_0 Y_0)"))
    (tmp_path / "glscli").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m glscert.cli.main "$@"\n')
    (tmp_path / "glscli").chmod(0o755)
    return tmp_path


def script(folder, name, *arguments):
    return subprocess.run(
        [SCRIPTS / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )


@pytest.mark.parametrize(
    ("name", "lines"),
    (("sat", ["sat", "((X_0 ", "(Y_0 "]), ("strange", ["unknown"])),
)
def test_answers(folder, name, lines):
    results = folder / "results.txt"
    files = (folder / "model.onnx", folder / f"{name}.vnnlib")
    assert script(folder, "prepare_instance.sh", "v1", "any", *files).returncode == 0
    done = script(folder, "run_instance.sh", "v1", "any", *files, results, 50)
    assert done.returncode == 0, done.stderr
    found = results.read_text().splitlines()
    assert len(found) == len(lines)
    assert all(own.startswith(start) for own, start in zip(found, lines, strict=True))


@pytest.mark.parametrize("name", ("install_tool.sh", "prepare_instance.sh", "run_instance.sh"))
def test_another_version_is_refused(folder, name):
    files = (folder / "model.onnx", folder / "sat.vnnlib", folder / "results.txt")
    done = script(folder, name, "v2", "any", *files, 60)
    assert (done.returncode, done.stdout) == (1, "")
    assert not (folder / "results.txt").exists()


def test_files_that_are_absent_are_skipped(folder):
    done = script(folder, "prepare_instance.sh", "v1", "any", folder / "absent.onnx", folder / "sat.vnnlib")
    assert done.returncode != 0
    assert "cannot read" in done.stderr
