"""A small trained run that the commands about runs may read, and none may change."""

import pytest

from glscert.trainer import resolve, train


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """Digits for two short epochs, by RGS and IBP, in a folder `runs` of its own."""
    run = tmp_path_factory.mktemp("trained") / "runs" / "short"
    config = {"relaxation": "ibp", "epochs": 2, "batch": 128, "eps": 0.02, "anneal_end": 0.0, "log_steps": 5}
    train(run, resolve(config), report=lambda news: None)
    return run
