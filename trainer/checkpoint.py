"""A run on disk, which a kill -9 or a full disk at any moment leaves consistent.

    runs/NAME/config.json                    the resolved configuration, with the version that wrote it
              checkpoints/00000230/model/    the network as a bundle (graph.json, params.safetensors)
                                   state.safetensors   Adam's moments; weights kept to choose from, and their moments
                                   state.json          step, sums of the epoch so far, sizes of the files below
              metrics.jsonl                  one line per epoch, and every few steps
              tensorboard/                   the same as an event file

A checkpoint is written beside (`.partial`) and renamed as a whole once everything is on disk; only then is the one
before removed. The newest by number counts.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from glscert.verifier.errors import InputError
from glscert.verifier.graph import Graph, read_bundle, write_bundle

from .config import TrainConfig

CONFIG_FILE, METRICS_FILE, CHECKPOINTS, MODEL = "config.json", "metrics.jsonl", "checkpoints", "model"
FORMAT = 1
SCALARS = ("step", "seconds", "sums", "metrics", "journal", "choice")  # of State, in state.json
KEPT, PARAM = "kept/", "param/"  # before the names of what is kept, and of the weights among it


@dataclass
class State:
    """Where training stands: after `step` steps, with the sums of the epoch under way."""

    params: dict[str, Tensor]
    moments: dict[str, Tensor]  # "exp_avg/NAME", "exp_avg_sq/NAME"; empty before the first step
    step: int = 0
    seconds: float = 0.0  # spent so far, over all sittings
    sums: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)  # of the last whole epoch
    journal: dict[str, int] = field(default_factory=dict)  # bytes of metrics.jsonl and the event file
    kept: dict[str, Tensor] = field(default_factory=dict)  # "param/NAME" and moments, of the best so far
    choice: dict[str, Any] = field(default_factory=dict)  # what was compared so far


def create_run(run: Path, config: TrainConfig) -> None:
    """Makes the folder and writes config.json. Raises InputError where a run lies there already."""
    if (run / CONFIG_FILE).exists():
        raise InputError(f"{run} already holds a run; continue it with --resume, or choose another name with --run.")
    run.mkdir(parents=True, exist_ok=True)
    _put(run / CONFIG_FILE, json.dumps({"format": FORMAT, **config.model_dump()}, indent=2) + "\n")


def read_config(run: Path) -> TrainConfig:
    """The configuration saved with a run. Raises InputError: no run there, or one that this version cannot read."""
    path = run / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format", None) != FORMAT:
            raise InputError(f"{path} was written by another version of glscert; resume it with that one.")
        return TrainConfig(**values)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no training run in {run} ({CONFIG_FILE} not found).") from None
    except (ValueError, ValidationError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error}.") from None


def save(run: Path, state: State, graph: Graph, constants: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes the checkpoint of `state.step` and removes those before it. Raises OSError where the disk refuses."""
    from safetensors.torch import save as to_bytes

    folder = run / CHECKPOINTS / f"{state.step:08d}"
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        tensors = {**constants, **state.params}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        write_bundle(partial / MODEL, graph, arrays, metadata)
        held = state.moments | {f"{KEPT}{name}": value for name, value in state.kept.items()}
        # copies: safetensors refuses two names of one memory
        _put(partial / "state.safetensors", to_bytes({name: value.cpu().clone() for name, value in held.items()}))
        _put(partial / "state.json", json.dumps({name: getattr(state, name) for name in SCALARS}, indent=1) + "\n")
        if folder.exists():  # of a run that resumed and stopped without a step
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for older in _checkpoints(run)[:-1]:
        shutil.rmtree(older, ignore_errors=True)


def load(run: Path, trainable: Mapping[str, tuple[int, ...]]) -> State | None:
    """The newest checkpoint of a run, on the CPU; None before the first. Raises InputError: damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    folders = _checkpoints(run)
    if not folders:
        return None
    folder = folders[-1]
    try:
        values = {"choice": {}, **json.loads((folder / "state.json").read_text(encoding="utf-8"))}
        held = from_bytes((folder / "state.safetensors").read_bytes())
        moments = {name: value for name, value in held.items() if not name.startswith(KEPT)}
        kept = {name.removeprefix(KEPT): value for name, value in held.items() if name.startswith(KEPT)}
        arrays = read_bundle(folder / MODEL).params
        params = {name: torch.tensor(arrays[name]).reshape(shape) for name, shape in trainable.items()}
        if kept:
            kept |= {f"{PARAM}{name}": kept[f"{PARAM}{name}"].reshape(shape) for name, shape in trainable.items()}
        return State(params, moments, kept=kept, **{name: values[name] for name in SCALARS})
    except (FileNotFoundError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"the checkpoint {folder} is damaged ({error}); delete it and start the run anew.") from None


def load_weights(path: Path, trainable: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The weights of the run `path` (its newest checkpoint), or of the network in the folder `path`, on the CPU.

    Raises InputError: nothing there, damaged, or a network whose weights have other names or shapes.
    """
    folder = model_folder(path) if (path / CONFIG_FILE).exists() else path
    if not folder.is_dir():
        raise InputError(f"start = {path} is not there; name a run folder that holds a checkpoint.")
    model = read_bundle(folder)
    for name, shape in trainable.items():
        found = model.params[name].shape if name in model.params else None
        if found != shape:
            held = "is not there" if found is None else f"is {_by(found)} there"
            raise InputError(
                f"start = {path} holds another network ({model.metadata.get('net', 'unnamed')}): {name} {held} and "
                f"{_by(shape)} here. Choose its net and data set, or start from a run of this one."
            )
    return {name: torch.tensor(model.params[name], dtype=torch.float32) for name in trainable}


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def model_folder(run: Path) -> Path:
    """The bundle of a run's newest checkpoint. Raises InputError where there is none."""
    folders = _checkpoints(run)
    if not folders:
        raise InputError(f"there is no checkpoint in {run}; train first: glscli train.")
    return folders[-1] / MODEL


def newest_run(runs: Path) -> Path:
    """The run in the folder `runs` whose checkpoint is the latest. Raises InputError where there is none."""
    found = [folders[-1] for path in runs.glob("*") if (folders := _checkpoints(path))]
    if not found:
        raise InputError(f"there is no training run in {runs}; train first: glscli train.")
    return max(found, key=lambda folder: (folder.stat().st_mtime_ns, folder)).parent.parent


def _checkpoints(run: Path) -> list[Path]:
    return sorted((p for p in (run / CHECKPOINTS).glob("*") if p.name.isdigit()), key=lambda p: int(p.name))


def _put(path: Path, content: str | bytes) -> None:
    """Writes beside, waits for the disk, then puts in place."""
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
