"""What a run costs, in the form of Table 8 of Balauca et al. (2025): time and core-hours per epoch, and around them.

The training loop measures every epoch (`Meter`) and writes it into the epoch's line of metrics.jsonl; `cost` reads a
run's lines. Only the rest of a schedule that is not over yet is projected, from the epoch measured last.
"""

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from glscert.verifier.errors import InputError

from .config import TrainConfig
from .device import named_device

# Fields of an epoch's record that depend on clock and machine; "seconds" sums over all epochs, the rest is its own.
MEASURED = (
    "seconds",
    "images_per_s",
    "train_seconds",
    "evaluation_seconds",
    "cpu_seconds",
    "peak_memory_mib",
    "workers",
    "actors",
    "processes",
    "machine",
)
MEBIBYTE = 2**20


class Meter:
    """Clocks of one sitting. What they say is kept in the sums of the epoch under way, which a checkpoint saves."""

    def __init__(self, device: torch.device, workers: int, actors: int = 0, processes: int = 1) -> None:
        self.device, self.workers, self.actors, self.processes = device, workers, actors, processes
        self._cpu = time.process_time()

    def step(self, sums: dict[str, float], seconds: float) -> None:
        """A step took so long."""
        sums["train_seconds"] = sums.get("train_seconds", 0.0) + seconds
        now = time.process_time()
        sums["cpu_seconds"] = sums.get("cpu_seconds", 0.0) + now - self._cpu
        self._cpu = now

    def epoch(self, sums: dict[str, float], images: float, evaluation_seconds: float) -> dict[str, Any]:
        """The fields of `MEASURED` but for the first; what concerns them leaves `sums`."""
        self.step(sums, 0.0)
        train_seconds = sums.pop("train_seconds")
        return {
            "images_per_s": round(images / max(train_seconds, 1e-9), 1),
            "train_seconds": round(train_seconds, 3),
            "evaluation_seconds": round(evaluation_seconds, 3),
            "cpu_seconds": round(sums.pop("cpu_seconds"), 3),
            "peak_memory_mib": round(peak_memory(self.device) / MEBIBYTE, 1),
            "workers": self.workers,
            "actors": self.actors,
            "processes": self.processes,
            "machine": machine(self.device),
        }


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held so far: on a GPU its tensors there, else all of it; 0 if not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine(device: torch.device) -> str:
    """The model of the GPU or of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class Cost(NamedTuple):
    """A row of Table 8. Seconds and core-hours per epoch are means over the epochs done.

    Core-hours are the CPU time that the process took, evaluation included. On a GPU they are the hours it was held;
    with actors, processes whose clocks are not read, their number times the time taken. Processes that torchrun started
    count as much as the first, which measures. The peak of memory is that of the largest sitting, of its main process.
    """

    dataset: str
    net: str
    method: str
    relaxation: str
    machine: str
    workers: int
    actors: int
    epochs_done: int
    epochs: int
    images_per_s: float
    seconds_per_epoch: float
    evaluation_seconds_per_epoch: float
    core_hours_per_epoch: float
    peak_memory_mib: float
    seconds: float
    seconds_whole: float
    core_hours_whole: float


def cost(config: TrainConfig, epochs: Sequence[Mapping[str, Any]]) -> Cost:
    """The cost of a run from its epochs' records. Raises InputError: none yet, or written without measurements."""
    if not epochs:
        raise InputError("no epoch is finished yet, so nothing has been measured; train on, then ask again.")
    missing = [name for name in MEASURED if name not in epochs[-1]]
    if missing:
        raise InputError(f"this run's metrics.jsonl holds no {missing[0]}: an earlier version wrote it. Train anew.")
    measured = [epoch for epoch in epochs if "cpu_seconds" in epoch]
    done, last = len(epochs), epochs[-1]

    def total(name: str) -> float:
        return float(sum(epoch[name] for epoch in measured))

    def hours(epoch: Mapping[str, Any]) -> float:
        busy = epoch["train_seconds"] + epoch["evaluation_seconds"]
        on_clock = named_device(config.device).type == "cpu" and not epoch["actors"]
        own = float(epoch["cpu_seconds"] if on_clock else busy * max(1, epoch["actors"])) / 3600
        return own * epoch["processes"]

    used = sum(map(hours, measured))
    left = config.total_epochs - done
    rate = sum(epoch["images_per_s"] * epoch["train_seconds"] for epoch in measured) / max(total("train_seconds"), 1e-9)
    return Cost(
        config.dataset,
        config.net,
        config.method,
        config.relaxation,
        last["machine"],
        last["workers"],
        last["actors"],
        done,
        config.total_epochs,
        rate,
        total("train_seconds") / len(measured),
        total("evaluation_seconds") / len(measured),
        used / len(measured),
        max(epoch["peak_memory_mib"] for epoch in measured),
        last["seconds"],
        last["seconds"] + left * (last["train_seconds"] + last["evaluation_seconds"]),
        used / len(measured) * done + left * hours(last),
    )
