"""A run that was stopped, however, ends with the bytes of one that was not."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from glscert.trainer import checkpoint, loop, model_folder, newest_run, resume, train
from glscert.trainer.checkpoint import METRICS_FILE
from glscert.trainer.cost import MEASURED
from glscert.trainer.randomness import stream
from glscert.verifier.errors import GlscertError, InputError


def ignore(news):
    pass


def weights(run):
    return (model_folder(run) / "params.safetensors").read_bytes()


def lines(run):
    """metrics.jsonl without what depends on clock and machine."""
    records = [json.loads(line) for line in (run / METRICS_FILE).read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in MEASURED} for record in records]


class Stop(Exception):
    """Stands for whatever ends a run early."""


def stop_at(step):
    def report(news):
        if getattr(news, "step", 0) == step:
            raise Stop

    return report


@pytest.fixture
def whole(tmp_path, small):
    """A run nobody stopped: twelve steps, six an epoch."""
    train(tmp_path / "whole", small(method="rgs"), report=ignore)
    return tmp_path / "whole"


# One method that follows gradients, and one with a search and a state of its own.
PGPE = {"population": 8, "sigma_lr": 100.0, "control": "rgs"}
METHODS = {"rgs": {"method": "rgs"}, "pgpe": {"method": "pgpe", "options": PGPE}}


# Two candidates of six steps each; the kill below is in the middle of the second.
STAGED = {"staged": {"method": "rgs", "restarts": 2, "warmup_relaxation": "crown-ibp"}}


@pytest.mark.parametrize("stopped", [1, 3, 6, 7, 11])
@pytest.mark.parametrize("method", METHODS)
def test_resumed_is_uninterrupted(tmp_path, small, method, stopped):
    whole, run = tmp_path / "whole", tmp_path / "stopped"
    train(whole, small(**METHODS[method]), report=ignore)
    with pytest.raises(Stop):
        train(run, small(**METHODS[method], checkpoint_steps=2), report=stop_at(stopped))
    metrics = resume(run, report=ignore)
    assert weights(run) == weights(whole)
    assert lines(run) == lines(whole) and len(lines(run)) == 14
    assert {k: v for k, v in metrics.items() if k not in MEASURED}.items() <= lines(whole)[-1].items()


CHILD = """
import json, sys, time, torch
from pathlib import Path
from glscert.trainer import resolve, train
torch.set_num_threads(1)
config = resolve({"relaxation": "ibp", "epochs": 2, "batch": 256, "log_steps": 1, "eval_images": 64,
                  "checkpoint_steps": 3}, json.loads(sys.argv[2]))
train(Path(sys.argv[1]), config, report=lambda news: time.sleep(60 if getattr(news, "step", 0) == 11 else 0))
"""


@pytest.mark.parametrize("method", METHODS | STAGED)
def test_killed_and_resumed_is_uninterrupted(tmp_path, small, method):
    whole, run = tmp_path / "whole", tmp_path / "killed"
    choices = (METHODS | STAGED)[method]
    train(whole, small(**choices), report=ignore)
    command = [sys.executable, "-c", CHILD, str(run), json.dumps(choices)]
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not (run / "checkpoints" / "00000009" / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert max(folder.name for folder in (run / "checkpoints").iterdir()) == "00000009"  # the one before may be left
    resume(run, report=ignore)
    assert weights(run) == weights(whole) and lines(run) == lines(whole)


def test_half_a_checkpoint_and_lines_after_the_last_one_are_ignored(tmp_path, small, whole):
    run = tmp_path / "torn"
    with pytest.raises(Stop):
        train(run, small(method="rgs", checkpoint_steps=4), report=stop_at(5))
    partial = run / "checkpoints" / "00000005.partial"
    partial.mkdir()
    (partial / "state.json").write_text("{")
    with (run / METRICS_FILE).open("a") as file:
        file.write('{"step": 5, "kind": "st')
    resume(run, report=ignore)
    assert weights(run) == weights(whole) and lines(run) == lines(whole)


def test_seed_decides(tmp_path, small, whole):
    train(tmp_path / "again", small(method="rgs"), report=ignore, workers=2)
    train(tmp_path / "other", small(method="rgs", seed=1), report=ignore)
    assert weights(tmp_path / "again") == weights(whole) != weights(tmp_path / "other")


def test_streams_differ_by_purpose_and_counter():
    draws = {
        torch.rand(1, generator=stream(*key)).item()
        for key in [(0, "init"), (1, "init"), (0, "noise", 0), (0, "noise", 1), (0, "shuffle", 0), (0, "augment", 0)]
    }
    assert len(draws) == 6


def test_a_full_disk_loses_nothing(tmp_path, small, whole, monkeypatch):
    run = tmp_path / "full"
    put = checkpoint._put

    def full(path, content):
        if path.name == "state.json" and "00000006" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        put(path, content)

    monkeypatch.setattr(checkpoint, "_put", full)
    with pytest.raises(GlscertError, match="No space left.*Those before it are kept"):
        train(run, small(method="rgs", checkpoint_steps=2), report=ignore)
    assert [folder.name for folder in (run / "checkpoints").iterdir()] == ["00000004"]
    monkeypatch.setattr(checkpoint, "_put", put)
    resume(run, report=ignore)
    assert weights(run) == weights(whole)


def test_a_finished_run_resumes_to_itself(whole):
    before = weights(whole)
    assert resume(whole, report=ignore)["epoch"] == 2
    assert weights(whole) == before


def test_a_loss_that_is_no_number_stops_with_a_sentence(tmp_path, small):
    with pytest.raises(GlscertError, match="stopped at step .* start anew with a smaller lr"):
        train(tmp_path / "run", small(method="grad", lr=1e30), report=ignore)


def test_runs_that_cannot_be(tmp_path, small, whole):
    with pytest.raises(InputError, match="already holds a run"):
        train(whole, small(), report=ignore)
    with pytest.raises(InputError, match="no training run"):
        resume(tmp_path / "none", report=ignore)
    with pytest.raises(InputError, match="no training run"):
        newest_run(tmp_path / "none")
    assert newest_run(tmp_path) == whole
    (whole / "config.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        resume(whole, report=ignore)


def test_a_damaged_checkpoint_is_refused(whole):
    state = model_folder(whole).parent / "state.safetensors"
    state.write_bytes(state.read_bytes()[:50])
    with pytest.raises(InputError, match="is damaged"):
        resume(whole, report=ignore)


def test_the_loop_prints_nothing(tmp_path, small, capsys):
    loop.train(tmp_path / "run", small(epochs=1), report=ignore)
    assert capsys.readouterr() == ("", "")
    assert list((tmp_path / "run" / "tensorboard").iterdir())
