"""What a training run tells its caller while it goes on."""

from collections.abc import Callable
from typing import Any, NamedTuple


class StepReport(NamedTuple):
    """After every step, counted from 1: the step's loss, images per second, and an estimate of the time left."""

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    images_per_s: float
    seconds_left: float


class EpochReport(NamedTuple):
    """After every epoch, counted from 1: its line in metrics.jsonl."""

    epoch: int
    epochs: int
    metrics: dict[str, Any]


Report = Callable[[StepReport | EpochReport], None]
