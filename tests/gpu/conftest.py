"""What only a GPU can show. Without one, all of it is skipped."""

import pytest
import torch

from glscert.verifier.bounds.device import exact_float32


def pytest_runtest_setup(item):
    if not torch.cuda.is_available():
        pytest.skip("tests/gpu needs a GPU that torch can use")


@pytest.fixture
def gpu():
    """The device, in the precision that training has there."""
    device = torch.device("cuda")
    with exact_float32(device):
        yield device
