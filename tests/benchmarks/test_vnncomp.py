"""benchmarks/vnncomp.py on a small root of its own: answers, truths, a second run that measures nothing anew."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from onnx_models import make, node

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "vnncomp.py"
TEXT = """(declare-const X_0 Real) (declare-const Y_0 Real)
(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (>= Y_0 {}))"""
TRUTHS = {
    "reached": ("1.5", "sat"),
    "lie": ("1", "unsat"),
    "unknown": ("0.5", "open"),
    "refused": ("(* Y_0 Y_0)", "sat"),
}


def root(folder):
    """y = 2 relu(x) on [0, 1]; one of the truths is none, one property is not supported."""
    nodes = [node("Relu", "x", "r"), node("MatMul", "r w", "y")]
    model = make(nodes, ("batch", 1), {"w": np.float32([[2]])})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    lines = ["set,category,onnx,vnnlib,truth"]
    for name, (number, truth) in TRUTHS.items():
        (folder / f"{name}.vnnlib").write_text(TEXT.format(number))
        lines.append(f"2099,small,model.onnx,{name}.vnnlib,{truth}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def run(folder, *arguments):
    command = [sys.executable, SCRIPT, "--root", folder, "--timeout", "20", "--threads", "1"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)


def test_answers_against_truths(tmp_path):
    root(tmp_path)
    done = run(tmp_path, "--json", "--out", tmp_path / "results.jsonl")
    assert done.returncode == 1, done.stderr
    assert "!!! WRONG" in done.stderr
    found = json.loads(done.stdout)
    (small, everything) = found["categories"]
    assert (small["category"], everything["category"]) == ("2099/small", "all")
    assert (small["instances"], small["decided"], small["known"], small["known_decided"]) == (4, 3, 3, 1)
    assert small["peak_mebibytes"] > 10
    assert [Path(result["vnnlib"]).stem for result in found["wrong"]] == ["lie"]
    assert [Path(result["vnnlib"]).stem for result in found["open_decided"]] == ["unknown"]
    (refused,) = found["undecided"]
    assert refused["verdict"] == "error" and "multiplies variables" in refused["reason"]

    before = (tmp_path / "results.jsonl").read_text()
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- vnncomp: begin -->\n<!-- vnncomp: end -->\n")
    again = run(tmp_path, "--out", tmp_path / "results.jsonl", "--table", page)
    assert (tmp_path / "results.jsonl").read_text() == before
    assert "| 2099/small | 4 | 3 | 1/3 (33.3 %) | 1 |" in again.stdout
    assert "lie.vnnlib: sat, the truth is unsat" in page.read_text()

    unknown = run(tmp_path, "--categories", "large")
    assert unknown.returncode == 1 and "known: 2099/small, small" in unknown.stderr
