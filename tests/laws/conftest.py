"""The laws run the same everywhere: fixed examples, fixed seeds, one thread, no clock in the verdict."""

from collections.abc import Iterator

import hypothesis
import pytest
import torch

from glscert.verifier.ops import compiled

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=25, database=None)
hypothesis.settings.load_profile("fixed")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    """Torch does what training's programs do, for which each of these networks would wait seconds."""
    compiled.enable(False)
    yield
    compiled.enable()


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
