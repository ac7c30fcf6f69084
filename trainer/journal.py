"""metrics.jsonl and TensorBoard event files of a run; both go on where the checkpoint left them."""

import json
import os
from pathlib import Path
from typing import Any

from .checkpoint import METRICS_FILE


class Journal:
    """Appends records; `size` bytes of metrics.jsonl are kept on opening, what follows them is cut off.

    Lines reach the disk in `sync`, which a checkpoint calls before it notes their number of bytes.
    """

    def __init__(self, run: Path, size: int, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._file = (run / METRICS_FILE).open("ab")
        self._file.truncate(min(size, self._file.tell()))
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step)

    def write(self, step: int, record: dict[str, Any]) -> None:
        """One line, and one TensorBoard scalar per number in it."""
        self._file.write((json.dumps({"step": step, **record}) + "\n").encode())
        for name, value in record.items():
            if isinstance(value, float):
                self._board.add_scalar(f"{record['kind']}/{name}", value, step)

    def sync(self) -> int:
        """Everything written so far is on disk; returns the size of metrics.jsonl."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        self._board.close()
