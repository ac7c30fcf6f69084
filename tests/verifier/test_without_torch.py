"""Verifying loads what it computes with and no more: never torch, and scipy not before there is a linear program."""

import subprocess
import sys
from pathlib import Path

from onnx_models import mlp

ROOMS = ("engine", "exact", "functions", "search")
CODE = """
import importlib, pkgutil, sys
import numpy as np
from glscert.verifier import load
from glscert.verifier.prospect import prospect
from glscert.verifier.settings import Settings
from glscert.verifier.tasks import asked

for room in sys.argv[2:]:
    package = importlib.import_module("glscert.verifier." + room)
    for each in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(each.name)
network = load(sys.argv[1])
asked(network, Settings(eps=0.1))
prospect(network.engine, np.zeros(6), np.ones(6))
print(sorted({"torch", "scipy"} & set(sys.modules)))
"""


def test_no_part_of_verifying_loads_torch(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(mlp().SerializeToString())
    done = subprocess.run([sys.executable, "-c", CODE, path, *ROOMS], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[]"
