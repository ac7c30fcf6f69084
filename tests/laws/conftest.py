"""The laws run the same everywhere: fixed examples, fixed seeds, one thread, no clock in the verdict."""

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=25, database=None)
hypothesis.settings.load_profile("fixed")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
