"""metrics.jsonl and a TensorBoard event file of a run; both go on exactly where the checkpoint left them."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from glscert.verifier.errors import InputError

from .checkpoint import METRICS_FILE

EVENTS_FILE = "tensorboard/events.out.tfevents.0.glscert"


class Journal:
    """Appends records to both files; of each, `sizes` bytes are kept on opening and what follows is cut off.

    TensorBoard shows `config`, the run's choices, in its table of hyperparameters. Records reach the disk in `sync`,
    which a checkpoint calls before it notes the sizes. The event file is written here rather than by TensorBoard's own
    writer, whose thread would meet a full disk where nobody can answer.
    """

    def __init__(self, run: Path, sizes: Mapping[str, int], config: Mapping[str, Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        (run / EVENTS_FILE).parent.mkdir(exist_ok=True)
        self._files = {name: (run / name).open("ab") for name in (METRICS_FILE, EVENTS_FILE)}
        for name, file in self._files.items():
            file.truncate(min(sizes.get(name, 0), file.tell()))
            file.seek(0, os.SEEK_END)
        self._events = RecordWriter(self._files[EVENTS_FILE])
        if self._files[EVENTS_FILE].tell() == 0:
            self._event(file_version="brain.Event:2")
            self._event(summary=_hyperparameters(config))

    def write(self, step: int, record: dict[str, Any]) -> None:
        """One line, and one TensorBoard scalar per fraction in it."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._files[METRICS_FILE].write((json.dumps({"step": step, **record}) + "\n").encode())
        scalars = {f"{record['kind']}/{name}": value for name, value in record.items() if isinstance(value, float)}
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._event(step=step, summary=Summary(value=values))

    def _event(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._events.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def sync(self) -> dict[str, int]:
        """Everything written so far is on disk; returns the size of each file."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return {name: file.tell() for name, file in self._files.items()}

    def close(self) -> None:
        """Lets go of the files. What counts was synced; a disk that is full has been answered for there."""
        for file in self._files.values():
            with suppress(OSError):
                file.close()


class NoJournal:
    """That of a process whose records another one writes."""

    def write(self, step: int, record: dict[str, Any]) -> None:
        pass

    def sync(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass


def _hyperparameters(config: Mapping[str, Any]) -> Any:
    """The summary that TensorBoard's HPARAMS page reads; a method's options under names such as options.sigma."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    options = {f"options.{name}": value for name, value in config["options"].items()}
    flat = {name: value for name, value in config.items() if name != "options"} | options
    return hparams_pb({name: v if isinstance(v, bool | int | float) else str(v) for name, v in flat.items()})


def read_epochs(run: Path) -> list[dict[str, Any]]:
    """The records of a run's finished epochs, in order. Raises InputError: metrics.jsonl is damaged.

    A last line without its end is left out: a run that was killed has one, and its `--resume` cuts it off.
    """
    path = run / METRICS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    try:
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in records if record["kind"] == "epoch"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); train the run anew.") from None
