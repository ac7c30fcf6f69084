"""Several processes on one run, started by torchrun: they share the chunks of each mini-batch and add up their finds.

    torchrun --nproc-per-node 2 --no-python -- glscli train --dataset mnist …

Every process holds all images and the same parameters, draws the same random numbers, and takes the chunks whose number
is its rank modulo the number of processes; sums and gradients are added over the processes, so that each takes the step
that one process would take, up to rounding. The first alone writes and reports.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from glscert.verifier.errors import GlscertError, InputError

from .device import named_device

T = TypeVar("T")
MOST_CHARACTERS = 4096


class Group(NamedTuple):
    """Which of how many processes this is. With one, nothing here does anything."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # where the backend wants its tensors

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def share(self, parts: Sequence[T]) -> list[T]:
        """The parts that this process takes; there may be none."""
        return list(parts[self.rank :: self.size])

    def add(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sums over all processes of tensors that each has, by name and in the same shapes.

        Raises GlscertError where another process has ended.
        """
        if self.size == 1:
            return dict(tensors)
        added = {name: tensor.detach().to(self.device, copy=True) for name, tensor in tensors.items()}
        with _together():
            for tensor in added.values():
                torch.distributed.all_reduce(tensor)
        return {name: tensor.to(tensors[name].device) for name, tensor in added.items()}

    def agree(self, text: str) -> str:
        """The first process's text, for all."""
        if self.size == 1:
            return text
        letters = text.encode()[:MOST_CHARACTERS].ljust(MOST_CHARACTERS, b"\0")
        numbers = torch.tensor(list(letters), dtype=torch.uint8, device=self.device)
        with _together():
            torch.distributed.broadcast(numbers, 0)
        return bytes(numbers.tolist()).rstrip(b"\0").decode()

    def wait(self) -> None:
        """Until all processes are here."""
        self.add({"here": torch.zeros(1)})


ALONE = Group()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise GlscertError("another process of this run has ended; its own message says why.") from error


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """The group that torchrun started this process in, for training on `device`; without torchrun, this one alone.

    Gloo connects processes on CPUs; on CUDA each takes the GPU of its local rank, and NCCL connects them.
    Raises InputError: fewer GPUs than processes, another device; GlscertError: the processes do not find each other.
    """
    distributed: Any = torch.distributed
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield ALONE
        return
    kind = named_device(device).type
    if device != kind:
        raise InputError(f"torchrun gives each process a device of its own; give {kind}, not {device}.")
    try:
        distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise GlscertError(f"the processes of torchrun do not find each other: {error}.") from error
    try:
        if kind == "cuda":
            local = distributed.get_node_local_rank()
            if local >= torch.cuda.device_count():
                raise InputError(f"there are {torch.cuda.device_count()} GPUs; start as many processes per node.")
            torch.cuda.set_device(local)
        own = torch.device("cuda", torch.cuda.current_device()) if kind == "cuda" else torch.device("cpu")
        yield Group(distributed.get_rank(), distributed.get_world_size(), own)
    finally:
        distributed.destroy_process_group()
