"""How many images are bounded at a time, on which device."""

import pytest
import torch

from glscert.trainer.architectures import SOURCES, build
from glscert.trainer.chunks import images_at_once, images_kept
from glscert.trainer.objective import Objective
from glscert.verifier.ops import compiled

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_off_the_cpu_forms_take_room_whatever_is_compiled() -> None:
    """The compiled program writes no form to memory, and runs on a CPU only."""
    net = build("cnn5", SOURCES["mnist"])
    objective = Objective(net.graph, {}, "deeppoly", 10)
    if compiled.enabled():
        assert images_kept(objective, net, CPU) > 1000
    kept = images_kept(objective, net, CUDA)
    try:
        compiled.enable(False)
        assert images_kept(objective, net, CUDA) == kept < 20  # of 17 MB each
        assert images_kept(objective, net, CPU) == kept // 4
    finally:
        compiled.enable()


@pytest.mark.parametrize("kept, batch, device, found", [(100, 32, CPU, 16), (5, 32, CPU, 4), (100, 32, CUDA, 32)])
def test_as_many_at_a_time_as_a_power_of_two_has(kept: int, batch: int, device: torch.device, found: int) -> None:
    assert images_at_once(kept, batch, device) == found
