"""Bundle -> artifact in place: written beside, compared with the checkpoint in its own runtime, then renamed."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glscert.verifier.errors import GlscertError, InputError
from glscert.verifier.graph import METADATA_KEYS, Graph, read_bundle

from .onnx import onnx_bytes
from .parity import Open, max_difference
from .program import open_program, program_bytes
from .runtime import open_onnx
from .torchscript import open_torchscript, torchscript_bytes


class Format(NamedTuple):
    """How to write a format, how to open it for running, and the name a file of it gets by default."""

    write: Callable[[Graph, Mapping[str, np.ndarray], Mapping[str, str]], bytes]
    open: Open
    default_name: str


FORMATS: dict[str, Format] = {
    "onnx": Format(onnx_bytes, open_onnx, "model.onnx"),
    "torchscript": Format(torchscript_bytes, open_torchscript, "model.ts.pt"),
    "program": Format(program_bytes, open_program, "model.pt2"),
}


class ExportReport(NamedTuple):
    """What was put in place, and how near it is to the checkpoint: largest logit difference over `images` images."""

    path: Path
    format: str
    size: int
    sha256: str
    images: int
    max_difference: float


def export_model(bundle: Path | str, target: Path | str, format: str, inputs: np.ndarray) -> ExportReport:
    """Exports the network in the folder `bundle` to the file `target`, after checking it on inputs [N, *v].

    `target` is replaced in one step at the end: on any failure a file that was there stays as it was.
    Raises `InputError` for a bad bundle, format, target or inputs, `parity.ParityError` where the artifact does not
    agree with the checkpoint, `GlscertError` where the file cannot be written (full disk).
    """
    if format not in FORMATS:
        raise InputError(f"the format {format!r} is unknown; supported: {', '.join(FORMATS)}. Choose one of these.")
    target = Path(target)
    if target.is_dir():
        raise InputError(
            f"{target} is a folder. Name the file to write, such as {target / FORMATS[format].default_name}."
        )
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent} to write {target.name} into. Make it, or name another.")
    model = read_bundle(bundle)
    metadata = {key: value for key, value in model.metadata.items() if key in METADATA_KEYS}
    data = FORMATS[format].write(model.graph, model.params, metadata)
    beside = target.with_name(f".{os.getpid()}.{target.name}")  # keeps the suffix, which runtimes look at
    try:
        _write(beside, data)
        difference = max_difference(model, beside, FORMATS[format].open, inputs)
        os.replace(beside, target)
    except OSError as error:
        kept = " The file that was there is unchanged." if target.exists() else ""
        raise GlscertError(f"could not write {target}: {error.strerror or error}.{kept}") from error
    finally:
        beside.unlink(missing_ok=True)
    return ExportReport(target, format, len(data), hashlib.sha256(data).hexdigest(), len(inputs), difference)


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
