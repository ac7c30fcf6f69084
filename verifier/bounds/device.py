"""What each kind of device gets, and float32 that is float32 there.

Sizes are fixed, not asked of the machine: how work is cut decides how sums round, and a seed shall repeat elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch


@dataclass(frozen=True)
class Device:
    """A row of the table. Members of a population always go together, by vmap; here is how many."""

    compiled: bool  # chains of ReLUs and convolutions run in the program compiled for them
    tile: int | None  # bytes of one form at most, of the few that are alive together; None: no tiles
    kept: int  # bytes of forms; autograd keeps four to seven times as many (DeepPoly)
    images: int  # bounded at a time; more are no faster
    chunks: int  # that a batch is cut into at least, one for each of so many threads
    members: int  # of a population, evaluated at a time
    budget: float  # MiB for these


DEVICES = {
    # CNN3-tiny and CNN3 are at their fastest within this budget; tiles and members stay in the cache of a core
    "cpu": Device(True, tile=1 << 22, kept=1 << 25, images=128, chunks=2, members=32, budget=128.0),
    # one thread feeds it: the fewer and the larger the kernels, the better
    "cuda": Device(False, tile=None, kept=1 << 27, images=1024, chunks=1, members=256, budget=4096.0),
}


def gets(device: torch.device) -> Device:
    """The row of a device; whatever is no CPU is taken for a GPU."""
    return DEVICES.get(device.type, DEVICES["cuda"])


_lock = Lock()
_users = 0
_before: list[str | bool] = []


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Meanwhile no TF32 in a CUDA device's products and convolutions: its 10 bits of fraction shift bounds by 1e-3.

    By torch's defaults convolutions have it. The settings are the whole process's: they are put back at the end, for
    the rest of a user's program, by the last of the threads that are inside. On other devices nothing is touched.
    """
    if device.type != "cuda":
        yield
        return
    global _users
    with _lock:
        if _users == 0:
            _before[:] = [getattr(owner, name) for owner, name, _ in _settings()]
            for owner, name, exact in _settings():
                setattr(owner, name, exact)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for (owner, name, _), value in zip(_settings(), _before, strict=True):
                    setattr(owner, name, value)


def _settings() -> list[tuple[Any, str, str | bool]]:
    """Owner, name and exact value. From torch 2.9 on by its newer names: reading the older ones fails after a user has
    set the newer; `set_float32_matmul_precision` sets either."""
    product, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv"):
        return [(product, "fp32_precision", "ieee"), (cudnn.conv, "fp32_precision", "ieee")]
    return [(product, "allow_tf32", False), (cudnn, "allow_tf32", False)]
