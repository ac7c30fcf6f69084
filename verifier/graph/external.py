"""Weights that an ONNX file keeps in files beside it: read once, within bounds, and put inside the model."""

import os
import stat
from collections.abc import Callable
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import TensorProto

from ..errors import InputError, UnsupportedError
from .proto import is_external, tensor_dtype, tensors


def take_in(model: onnx.ModelProto, folder: Path, most: int, seen: Callable[[bytes], object]) -> None:
    """Puts the numbers of every external tensor into it; `seen` is called with the bytes of each in turn.

    Only files in `folder` are opened, and no more than `most` bytes are read in all. Raises `UnsupportedError` for a
    place elsewhere, `InputError` for a file that is missing, too short or too large.
    """
    for tensor in tensors(model):
        if not is_external(tensor):
            continue
        what = f"the weight {tensor.name!r}"
        size = prod(tensor.dims) * tensor_dtype(tensor, what).itemsize
        if any(extent < 0 for extent in tensor.dims) or size > most:
            raise InputError(
                f"{what} declares the shape {list(tensor.dims)}; with all others the file holds more than is read. "
                "Give a smaller ONNX file."
            )
        most -= size
        data = _read(tensor, what, folder, size)
        seen(data)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data


def _read(tensor: TensorProto, what: str, folder: Path, size: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = _inside(location, what, folder)
    offset, length = (
        _whole(entries.get(key, default), what) for key, default in (("offset", "0"), ("length", str(size)))
    )
    if length != size:
        raise InputError(f"{what} takes {size} bytes and states {length} in {location!r}. Export the network again.")
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or offset + size > found.st_size:
                raise InputError(
                    f"{what} lies at bytes {offset} to {offset + size} of {location!r}, which has {found.st_size}: the "
                    "file is another one or cut short. Copy it again, with the ONNX file."
                )
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise InputError(
            f"{what} lies in {location!r}, which cannot be read: {error.strerror}. Put that file beside the ONNX file."
        ) from error
    if len(data) != size:
        raise InputError(f"{location!r} became shorter while it was read. Try again.")
    return data


def _inside(location: str, what: str, folder: Path) -> str:
    """The real path of a location within the folder."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    upwards = ".." in (*posix.parts, *windows.parts)
    if not location or "\0" in location or posix.is_absolute() or windows.anchor or upwards:
        raise UnsupportedError(
            f"{what} lies in {location!r}; supported: a file in the ONNX file's own folder. {_REMEDY}"
        )
    home, path = os.path.realpath(folder), os.path.realpath(folder / location)
    if os.path.commonpath([home, path]) != home:
        raise UnsupportedError(f"{what} lies in {location!r}, a link out of the ONNX file's folder. {_REMEDY}")
    return path


_REMEDY = "Put all in one file: onnx.save(onnx.load(…), …), or torch.onnx.export(…, external_data=False)."


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InputError(f"{what} states {text[:40]!r} for a place in its file. Export the network again.")
    return int(text)
