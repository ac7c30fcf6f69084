"""Verifying loads what it computes with and no more: never torch, and scipy not before there is a linear program."""

import subprocess
import sys
from pathlib import Path

from glscert import verifier
from onnx_models import mlp

CODE = """
import importlib, pkgutil, sys
import numpy as np
import glscert.verifier
from glscert.verifier import load
from glscert.verifier.prospect import prospect
from glscert.verifier.settings import Settings
from glscert.verifier.tasks import asked

TRAINING = ("ops", "bounds")  # what is differentiated, as functions of torch's tensors
def every(package):
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if found.name.split(".")[2] not in TRAINING:
            module = importlib.import_module(found.name)
            if found.ispkg:
                every(module)
every(glscert.verifier)
network = load(sys.argv[1])
asked(network, Settings(eps=0.1))
prospect(network.engine, np.zeros(6), np.ones(6))
print(sorted({"torch", "scipy", "ray"} & set(sys.modules)))
print(sum(name.startswith("glscert.verifier.") for name in sys.modules))
"""


def said(code: str, *arguments: str | Path) -> list[str]:
    """What a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_no_part_of_verifying_loads_torch(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(mlp().SerializeToString())
    loaded, modules = said(CODE, path)
    assert loaded == "[]" and int(modules) > 100


def test_the_package_itself_loads_nothing_and_its_names_never_torch() -> None:
    names = ", ".join(verifier.__all__)
    code = f"""
import sys, glscert.verifier
print(sorted({{"numpy", "onnx", "onnxruntime", "torch"}} & set(sys.modules)))
from glscert.verifier import {names}
print(sorted({{"numpy", "onnx", "onnxruntime", "torch", "scipy"}} & set(sys.modules)))
"""
    assert said(code) == ["[]", "['numpy', 'onnx', 'onnxruntime']"]
