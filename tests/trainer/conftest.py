"""Fixtures for the trainer's tests: one thread, a silent report, small configurations."""

import pytest
import torch

from glscert.trainer import resolve


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small():
    """A configuration of the digits that takes a second: IBP, six steps an epoch, a line of metrics each step."""

    def make(**changes):
        return resolve(
            {"method": "rgs", "relaxation": "ibp", "epochs": 2, "batch": 256, "log_steps": 1, "eval_images": 64},
            changes,
        )

    return make
