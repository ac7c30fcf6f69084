"""Records of what was decided, as JSON objects in files that a run may stop at and go on from. `Record` is what those
of labelled inputs and of properties have in common.

A record is bound to what it is about by digests, and a checksum over all of it shows that it was changed. None of this
is a proof: who changes a record can write the checksum anew. What onnxruntime can confirm is therefore confirmed again
before it is believed.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar

import numpy as np

from ..errors import GlscertError, InputError
from ..files import read_bytes, replace_file

VERIFIED, VERIFIED_BEFORE = "glscert/verify/2", "glscert/verify/1"  # schemas: of labelled inputs
ANSWERED, ANSWERED_BEFORE = "glscert/query/2", "glscert/query/1"  # of properties
_PACKAGES = ("glscert", "onnx", "numpy", "scipy")
_MOST_BYTES = 2**29
_ROWS = 1024  # of a digest, at a time


class Record(ABC):
    """Entries of one run by their key, as JSON has them, in memory and, where `path` is given, on disk.

    A file that is there is gone on from: what it holds is checked, and entries that are open are decided again, as are
    proofs of another version. remarks: what a user should know of it.
    """

    schemas: ClassVar[tuple[str, str]]  # the present one, and the one before: what that holds is decided again
    what: ClassVar[str]  # such a file
    listed: ClassVar[str]  # the key of the entries
    proof: ClassVar[str]  # the verdict that is one

    def __init__(self, header: Mapping[str, Any], path: Path | None) -> None:
        self.header, self.path = {"schema": self.schemas[0], **header}, path
        self.entries: dict[Any, dict[str, Any]] = {}
        self.seconds = 0.0
        self.remarks: list[str] = []
        if path is not None:
            check_target(path)
            if path.exists():
                self._resume(path)

    @abstractmethod
    def key(self, entry: Mapping[str, Any]) -> Any:
        """What tells entries apart, in order."""

    @abstractmethod
    def checked(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The entry; raises ValueError, KeyError or TypeError where it is none of this record."""

    @abstractmethod
    def contradiction(self, entry: Mapping[str, Any]) -> str:
        """Why an entry cannot be true, as the end of a sentence; "" where it may be."""

    @abstractmethod
    def complete(self) -> bool:
        """Whether every question has an entry."""

    @abstractmethod
    def summary(self) -> dict[str, Any]: ...

    def identity(self, earlier: dict[str, Any], path: Path) -> None:
        """Raises InputError where an earlier record is about something else."""
        if earlier["model"]["sha256"] != self.header["model"]["sha256"]:
            raise InputError(f"{path} holds answers for another model. Name another file for --out, or delete it.")

    def counted(self, earlier: dict[str, Any]) -> bool:
        """Whether an earlier record says of its entries how many they are."""
        return bool(earlier["summary"] == self.summary())

    @abstractmethod
    def keep(self, path: Path) -> None:
        """Drops the entries that have to be decided again."""
        return

    def counts(self) -> Counter[str]:
        return Counter(entry["verdict"] for entry in self.entries.values())

    def add(self, entry: dict[str, Any]) -> None:
        self.entries[self.key(entry)] = entry

    def as_json(self) -> dict[str, Any]:
        found = {**self.header, "complete": self.complete(), "summary": self.summary()}
        found[self.listed] = [self.entries[key] for key in sorted(self.entries)]
        return {**found, "checksum": checksum(found)}

    def save(self) -> None:
        """Writes beside, then renames: the file is always whole."""
        if self.path is not None:
            write_record(self.path, self.as_json())

    def _resume(self, path: Path) -> None:
        earlier = read_record(path, self.what)
        if earlier["schema"] not in self.schemas:
            raise InputError(f"{path} is not {self.what}; name another file for --out.")
        old = earlier["schema"] == self.schemas[1]
        try:
            self.identity(earlier, path)
            if old:
                self.remarks.append(f"{path} was written by an older version; all of it is decided again.")
                return
            entries, made_by = [self.checked(entry) for entry in earlier[self.listed]], earlier["versions"]["glscert"]
            arithmetic = str(earlier["settings"].get("arithmetic", "real"))
            self.seconds, _ = float(earlier["summary"]["seconds"]), earlier["complete"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{path} is not {self.what}; name another file for --out.") from None
        self.entries = {self.key(entry): entry for entry in entries}
        for key, entry in self.entries.items():
            why = self.contradiction(entry)
            if why:
                raise contradicts(path, f"{self.shown(key)} is {entry['verdict']} {why}")
        if len(entries) != len(self.entries) or not self.counted(earlier):
            raise contradicts(path, f"its summary does not count its {self.listed}")
        if earlier.get("checksum") != checksum(earlier):
            raise contradicts(path, "its checksum is another")
        self._keep_proofs(path, made_by, arithmetic)
        self.keep(path)

    def _keep_proofs(self, path: Path, made_by: str, arithmetic: str) -> None:
        """Not those of another version, nor in another arithmetic."""
        proofs = [key for key, entry in self.entries.items() if entry["verdict"] == self.proof]
        alike = arithmetic == self.header["settings"]["arithmetic"]
        self.own_proofs = alike and made_by == self.header["versions"]["glscert"]
        if proofs and not self.own_proofs:
            how = f"by version {made_by}" if alike else f"for {arithmetic} arithmetic"
            self.remarks.append(f"{path} was written {how}; what it calls {self.proof} is decided again.")
            for key in proofs:
                del self.entries[key]

    def shown(self, key: Any) -> str:
        """An entry in a sentence."""
        return str(key)


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
