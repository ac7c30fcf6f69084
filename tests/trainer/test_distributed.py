"""Two processes of torchrun take the steps that one takes, up to rounding; they resume a run to the bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from glscert.trainer import model_folder, resolve, train
from glscert.trainer.distributed import ALONE, Group
from glscert.verifier.errors import InputError
from glscert.verifier.graph import read_bundle

# Two steps an epoch; the second has 12 images: one chunk, so that one of two processes goes without.
BASE = {"dataset": "digits", "net": "digits", "epochs": 1, "batch": 1425, "chunk": 475, "eval_images": 64, "lr": 1e-3}
RUNS = {
    "grad": {"relaxation": "ibp", "method": "grad", "l1": 1e-4, "anneal_end": 1.0},
    "rgs": {"relaxation": "crown-ibp", "method": "rgs", "robust_weight": 0.5},
    "pgd": {"relaxation": "ibp", "method": "pgd", "augment": True},
    "taps": {"relaxation": "ibp", "method": "taps", "anneal_end": 0.5},
    "staged": {"method": "grad", "warmup_relaxation": "ibp", "epochs": 2, "restarts": 2, "keep": "best"},
}
STOPPED = {"relaxation": "ibp", "method": "rgs", "batch": 500, "epochs": 2, "restarts": 2, "checkpoint_steps": 1}

CHILD = """
import json, sys
from pathlib import Path
import torch
from glscert.trainer import loop, resolve, resume, train
from glscert.trainer.distributed import joined

torch.set_num_threads(1)
folder, base, runs, stopped = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])

class Stop(Exception):
    pass

def ignore(news):
    pass

measure = loop._Loop.measure

def stop(self, *arguments):
    measure(self, *arguments)
    if self.state.step == 4:
        raise Stop

with joined("cpu") as group:
    assert group.size == 2 and group.agree(f"from {group.rank}") == "from 0"
    for name, values in runs.items():
        train(folder / name, resolve(base, values), report=ignore, group=group)
    config = resolve(base, stopped)
    train(folder / "whole", config, report=ignore, group=group)
    loop._Loop.measure = stop
    try:
        train(folder / "stopped", config, report=ignore, group=group)
    except Stop:
        loop._Loop.measure = measure
    resume(folder / "stopped", report=ignore, group=group)
"""


def torchrun(*command, **options):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, command)]
    return subprocess.run(
        [sys.executable, *launch],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of runs that two processes made."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "child.py").write_text(CHILD)
    done = torchrun(folder / "child.py", folder, *map(json.dumps, (BASE, RUNS, STOPPED)))
    assert done.returncode == 0, done.stderr
    return folder


def weights(run):
    return read_bundle(model_folder(run)).params


def last_line(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_equal_one(together, tmp_path, name):
    torch.set_num_threads(1)
    config = resolve(BASE, RUNS[name])
    metrics = train(tmp_path / "one", config, report=lambda news: None)
    one, two = weights(tmp_path / "one"), weights(together / name)
    for key in one:
        assert np.abs(one[key] - two[key]).max() <= 2e-6, key
    found = last_line(together / name)
    compared = {"train_loss", "train_certified", "natural", "certified"} & metrics.keys()
    assert {key: found[key] for key in compared} == pytest.approx({key: metrics[key] for key in compared}, rel=1e-5)


def test_resumed_together_is_uninterrupted(together):
    files = [model_folder(together / name) / "params.safetensors" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len((together / "whole" / "metrics.jsonl").read_text().splitlines()) == 3


def test_the_command_line_reports_once(tmp_path):
    options = ["--relaxation", "ibp", "--epochs", "1", "--batch", "512", "--restarts", "1", "--json"]
    options += ["--runs-dir", tmp_path / "runs"]
    done = torchrun("-m", "glscert.cli.main", "train", *options)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["result"]["epoch"] == 1 and done.stderr.count("in 2 processes") == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [Path(result["run"]).name]


def test_one_process_alone_shares_with_nobody():
    tensors = {"a": torch.ones(2)}
    assert ALONE.leads and ALONE.share([1, 2, 3]) == [1, 2, 3] and ALONE.agree("x") == "x"
    assert ALONE.add(tensors)["a"] is tensors["a"]
    assert Group(1, 2).share([1, 2, 3]) == [2] and not Group(1, 2).leads and Group(1, 2).share([1]) == []


def test_a_population_is_shared_by_actors_instead(tmp_path):
    with pytest.raises(InputError, match="use --actors instead"):
        train(tmp_path / "run", resolve({"method": "pgpe"}), report=lambda news: None, group=Group(0, 2))
