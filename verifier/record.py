"""Records of what was decided, as JSON objects in files that a run may stop at and go on from.

A record is bound to what it is about by digests, and a checksum over all of it shows that it was changed. None of this
is a proof: who changes a record can write the checksum anew. What onnxruntime can confirm is therefore confirmed again
before it is believed.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from .errors import GlscertError, InputError
from .files import read_bytes, replace_file

VERIFIED, VERIFIED_BEFORE = "glscert/verify/2", "glscert/verify/1"  # schemas: of labelled inputs (`report`)
ANSWERED, ANSWERED_BEFORE = "glscert/query/2", "glscert/query/1"  # of properties (`answers`)
_PACKAGES = ("glscert", "onnx", "numpy", "scipy")
_MOST_BYTES = 2**29
_ROWS = 1024  # of a digest, at a time


def versions() -> dict[str, str]:
    """Of this package and those that it computes with."""
    return {name: version(name) for name in _PACKAGES}


def digest(x: np.ndarray, y: np.ndarray) -> str:
    """SHA-256 of inputs [N, *v] and labels [N] as numbers, whatever their type."""
    found = hashlib.sha256(repr(x.shape).encode())
    for first in range(0, len(x), _ROWS):
        found.update(x[first : first + _ROWS].astype("<f8").tobytes())
    found.update(y.astype("<i8" if np.issubdtype(y.dtype, np.integer) else "<f8").tobytes())
    return found.hexdigest()


def check_target(path: Path) -> None:
    """Raises InputError where no record goes under this name, GlscertError where its folder cannot be written."""
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; --out names a file in a folder that exists.")
    if path.suffix.lower() != ".json":
        raise InputError(f"{path}: --out writes a JSON object; name a file that ends in .json.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; --out names a file.")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise GlscertError(f"cannot write {path}: {error.strerror}. Name a file in a folder to write into.") from None


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes beside, then renames: the file is always whole."""
    text = json.dumps(record, allow_nan=False, indent=1)
    replace_file(path, lambda file: file.write(text.encode()))


def read_record(path: Path, what: str) -> dict[str, Any]:
    """The object in a file, strict JSON with a key `schema`. Raises InputError: none, `what` it should be."""
    data = read_bytes(path, _MOST_BYTES, "record")
    try:
        found = json.loads(data, parse_constant=_refuse)
        if isinstance(found["schema"], str):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    if data.lstrip().startswith(b"{") and b'"schema"' in data[:_ROWS] and not data.rstrip().endswith(b"}"):
        raise InputError(f"{path} is damaged or cut short; delete it, or name another file.")
    raise InputError(f"{path} is not {what}; name another file.")


def checksum(record: Mapping[str, Any]) -> str:
    """SHA-256 of all but the checksum itself."""
    rest = {key: value for key, value in record.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def contradicts(path: Path, why: str) -> InputError:
    """What is raised of a record that cannot be true."""
    return InputError(f"{path} contradicts itself: {why}. It was changed; delete it, or name another file.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not strict JSON")
