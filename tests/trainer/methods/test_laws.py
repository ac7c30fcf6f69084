"""What holds for every method, with every relaxation: it learns, repeats, resumes, and needs no number of threads."""

import pytest

from glscert.trainer import METHODS, model_folder, resume, train
from glscert.verifier.bounds import RELAXATIONS

SHORT = {"steps": 2, "restarts": 1, "latent_steps": 2, "latent_restarts": 1, "population": 64}  # little cost
UNBOUNDED = {"pgd"}  # trains without a relaxation
PAIRS = [(m, r) for m in METHODS for r in (["ibp"] if m in UNBOUNDED else RELAXATIONS)]
PRODUCTS = {"taps", "staps"}  # of two cross-entropies


def short(method):
    return {name: value for name, value in SHORT.items() if name in METHODS[method].options.model_fields}


def ignore(news):
    pass


def weights(run):
    return (model_folder(run) / "params.safetensors").read_bytes()


@pytest.mark.parametrize(("method", "relaxation"), PAIRS)
def test_loss_falls(tmp_path, small, method, relaxation):
    config = small(
        method=method,
        relaxation=relaxation,
        lr=0.02,
        eps=0.02,
        batch=96,
        anneal_end=0.0,
        epochs=1,
        options=short(method),
    )
    losses = []
    metrics = train(tmp_path / "run", config, report=lambda news: losses.append(getattr(news, "loss", None)))
    assert losses.pop() is None  # the epoch's report; the steps' come before
    assert sum(losses[-3:]) / 3 < losses[0] - 0.05
    assert losses[0] < 3.5 ** (2 if method in PRODUCTS else 1)
    assert 0 <= metrics["certified"] <= metrics["natural"] <= 1


class Stop(Exception):
    """Stands for whatever ends a run early."""


@pytest.mark.parametrize("method", METHODS)
def test_resumed_is_uninterrupted_whatever_the_number_of_threads(tmp_path, small, method):
    changes = {"method": method, "batch": 512, "chunk": 200, "anneal_end": 0.5, "options": short(method)}
    changes |= {"robust_weight": 0.8, "relaxation": "ibp", "fast_reg": 0.5}

    def stop(news):
        if getattr(news, "step", 0) == 4:
            raise Stop

    train(tmp_path / "whole", small(**changes), report=ignore)
    with pytest.raises(Stop):
        train(tmp_path / "stopped", small(**changes, checkpoint_steps=2), report=stop, workers=2)
    resume(tmp_path / "stopped", report=ignore, workers=3)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    train(tmp_path / "other", small(**changes, seed=1), report=ignore)
    assert weights(tmp_path / "other") != weights(tmp_path / "whole")
