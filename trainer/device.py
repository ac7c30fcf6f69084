"""The device that a configuration names; what it gets is in `glscert.verifier.bounds.device`."""

import torch

from glscert.verifier.bounds.device import DEVICES
from glscert.verifier.errors import InputError


def named_device(name: str) -> torch.device:
    """cpu, cuda or cuda:1, whether or not it is there. Raises InputError: any other."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in DEVICES:
        raise InputError(
            f"device = {name!r} is not supported; give cpu, cuda, or cuda:1 for the second of several GPUs."
        )
    return device


def usable_device(name: str) -> torch.device:
    """The device, if it is there. Raises InputError: it is not, or is none of `DEVICES`."""
    device = named_device(name)
    if device.type == "cpu":
        return torch.device("cpu")
    if not torch.backends.cuda.is_built():
        raise InputError(f"device = {name!r} needs a torch built with CUDA, and this one is not; train on cpu.")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found == 0:
        raise InputError(f"device = {name!r} needs a GPU, and torch finds none, or no driver for it; train on cpu.")
    if (device.index or 0) >= found:
        there = "cuda:0 is the only GPU" if found == 1 else f"there are cuda:0 to cuda:{found - 1}"
        raise InputError(f"device = {name!r} is not here: {there}.")
    try:
        torch.empty(1, device=device)
    except RuntimeError as error:  # taken by another process, or too old or new for this torch
        raise InputError(f"device = {name!r} cannot be used: {str(error).splitlines()[0].rstrip('.')}.") from None
    return device
