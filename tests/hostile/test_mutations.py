"""ONNX files of another structure than their makers meant: refused in a sentence, or read as onnxruntime reads them."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest


def test_mutated_files_are_refused_or_read_as_onnxruntime_does(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """In processes of their own, which a crash, a time limit and a memory limit would end; see `mutate.py`."""
    count, seed, ends, wrong = pytestconfig.getoption("mutations"), 0, Counter[str](), []
    while seed < count:
        script = Path(__file__).with_name("mutate.py")
        command = [sys.executable, str(script), str(seed), str(count - seed), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 1, done.stderr[-2000:]  # the script itself is wrong
        for line in done.stdout.splitlines():
            found = json.loads(line)
            seed = found["seed"] + 1
            ends[found["end"]] += 1
            wrong += [found] if found["wrong"] else []
        if seed < count:  # the file of this number ended the process
            wrong.append({"seed": seed, "wrong": f"exit {done.returncode}: {done.stderr[-300:]}"})
            seed += 1
    assert wrong == []
    assert min(ends["InputError"], ends["UnsupportedError"], ends["loaded"]) > count / 20
