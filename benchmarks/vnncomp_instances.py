"""Instances of the verification competitions, a process for each, and a second look at its witnesses."""

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glscert.verifier.graph import load_model
from glscert.verifier.graph.read import read_model
from glscert.verifier.replay import opened
from glscert.verifier.spec import read_query
from glscert.verifier.spec.judge import unsafe

GRACE = 10.0


class Instance(NamedTuple):
    """A network and a property, paths below the root; `category` with its year; truth sat, unsat or open."""

    category: str
    onnx: str
    vnnlib: str
    truth: str


def read(root: Path, categories: list[str] | None) -> list[Instance]:
    """The manifest's rows of these categories, named with or without the year. Exits where one is unknown."""
    with open(root / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {name for row in rows for name in (row["category"], f"{row['set']}/{row['category']}")}
    unknown = [name for name in categories or () if name not in names]
    if unknown:
        sys.exit(f"no category {unknown[0]}; known: {', '.join(sorted(names))}.")
    return [
        Instance(f"{row['set']}/{row['category']}", row["onnx"], row["vnnlib"], row["truth"])
        for row in rows
        if categories is None or {row["category"], f"{row['set']}/{row['category']}"} & set(categories)
    ]


def chosen(root: Path, categories: list[str] | None, sample: int | None, seed: int) -> list[Instance]:
    """The same, or so many of them, drawn by the seed."""
    instances = read(root, categories)
    if sample is None or sample >= len(instances):
        return instances
    return [instances[place] for place in sorted(random.Random(seed).sample(range(len(instances)), sample))]


def run(
    root: Path,
    instance: Instance,
    timeout: float,
    threads: int,
    arithmetic: str = "real",
    certificate: Path | None = None,
) -> tuple[dict[str, Any], float, float]:
    """The answer with verdict, reason and witness, seconds of the whole process, and its peak memory in MiB.
    certificate: where to write one, if at all, for which the process has nine times as much again."""
    command = [sys.executable, "-m", "glscert.cli.main", "verify", str(root / instance.onnx)]
    command += ["--vnnlib", str(root / instance.vnnlib), "--json", "--timeout", str(timeout), "--threads", str(threads)]
    command += ["--arithmetic", arithmetic]
    if certificate is not None:
        command += ["--certificates", str(certificate)]
    allowed = timeout + GRACE if certificate is None else 10 * timeout + GRACE
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        while True:  # waiting by hand tells this child's own memory
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.monotonic() - began
            if pid:
                break
            if seconds > allowed:
                process.kill()
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        said = _said(out.read(), err.read(), killed=seconds > allowed)
    return said, seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _said(out: bytes, err: bytes, killed: bool) -> dict[str, Any]:
    if killed:
        return {"verdict": "timeout", "reason": f"killed {GRACE:g} s after its time", "witness": None}
    try:
        (only,) = json.loads(out)["results"]
    except (ValueError, KeyError):
        reason = " ".join(err.decode(errors="replace").split()) or "no answer and no message"
        return {"verdict": "error", "reason": reason, "witness": None}
    return only


def objection(root: Path, instance: Instance, witness: dict[str, Any]) -> str:
    """Why the witness of a sat is none, on the files themselves, with tolerance 0; empty where it is one."""
    path = root / instance.onnx
    file = read_model(path)
    graph = load_model(file).graph
    x = np.array(witness["x"], np.float32)
    y = opened(file, graph).logits(x.reshape(1, *graph.input_shape))[0]
    clauses = read_query(root / instance.vnnlib, prod(graph.input_shape), graph.answers).clauses
    return "" if any(unsafe(clause, x, y) for clause in clauses) else "its witness does not fulfil the property"
