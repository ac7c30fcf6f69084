"""Files read up to a size, plain or gzip'ed, and files that are whole or not there."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_AT_ONCE = 2**20


def read_bytes(path: Path, max_bytes: int, what: str) -> bytes:
    """The file's bytes, unpacked where it is gzip'ed; `what` it should be, such as "ONNX file".

    Raises `InputError` where there is none or it is too large.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder. Give the {what} itself.")
        with open(path, "rb") as file:
            data = _read(file, max_bytes + 1)
        if data[:2] == _GZIP_MAGIC and len(data) <= max_bytes:
            with gzip.open(path, "rb") as unpacked:
                data = _read(unpacked, max_bytes + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a damaged gzip file ({error}). Copy or download it again.") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}. Give the path of a readable {what}.") from error
    if len(data) > max_bytes:
        raise InputError(f"{path} holds more than {max_bytes} bytes, the most that is read. Give a smaller {what}.")
    return data


def _read(file: BinaryIO | gzip.GzipFile, most: int) -> bytes:
    """At most so many bytes; in pieces, since reading `most` at once would take the memory for all of them."""
    data = bytearray()
    while len(data) < most and (piece := file.read(min(_AT_ONCE, most - len(data)))):
        data += piece
    return bytes(data)


def sha256(path: Path) -> str:
    """In hexadecimal digits, of the file as it lies there; read a piece at a time."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_AT_ONCE):
            found.update(piece)
    return found.hexdigest()


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside, then rename."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with open(unfinished, "wb") as file:
            write(file)
        os.replace(unfinished, path)
    except OSError as error:  # a write into an open file does not know its name
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)
