"""Programs in C for shapes known only at run time: compiled once by the machine's own compiler, and kept.

A compiler is looked for in this order: $CC, cc, gcc, clang, and the one in the package `ziglang`. Where there is
none, or it fails, `program` says None and the caller goes the way of torch. Programs lie in the user's cache folder,
under the hash of their text, the compiler's version and the processor's features, so a cache shared by different
machines is safe; the folder must be the user's own and closed to others, as it holds code.

Nothing is compiled before `enable`: verifying a few inputs is over before a compiler would have started.
"""

import ctypes
import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

_HEADERS = Path(__file__).with_name("c")
# Loops may be reordered over sums; NaN and infinity keep their meaning.
_FLAGS = ["-O3", "-march=native", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math"]
_FLAGS += ["-fno-signed-zeros", "-fassociative-math", "-ffp-contract=fast"]
_SECONDS = 120  # until a compiler that hangs is given up

_lock = threading.Lock()
_enabled = False


class Source(NamedTuple):
    """A program's text and the number of rows it works on at a time."""

    text: str
    lanes: int


class Program:
    """A loaded library: the functions of c/chain.h."""

    def __init__(self, library: ctypes.CDLL, lanes: int) -> None:
        self.lanes = lanes
        self.substitute: Any = library.substitute
        self.gradient: Any = library.gradient
        self.scratch_reals: Any = library.scratch_reals
        self.substitute.restype = self.gradient.restype = None
        self.scratch_reals.restype = ctypes.c_long


def enable(on: bool = True) -> bool:
    """Compile from now on where it can be done; returns whether a compiler was found."""
    global _enabled
    _enabled = on and _compiler() is not None
    return _enabled


def enabled() -> bool:
    return _enabled


def lanes(rows: int, dtype: torch.dtype) -> int:
    """How many of `rows` to work on at a time: a processor's vector, or the smallest part of one that holds them."""
    wide = 64 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 32
    full = wide // (8 if dtype == torch.float64 else 4)
    return next((n for n in (4, 8) if rows <= n < full), full)


def program(source: Source) -> Program | None:
    """The source compiled and loaded; None where that is not enabled or did not work."""
    if not _enabled:
        return None
    with _lock:  # a second thread waits for the first one's program
        return _load(source)


@cache
def _load(source: Source) -> Program | None:
    library = _library(source.text)
    return None if library is None else Program(library, source.lanes)


def library(text: str) -> ctypes.CDLL | None:
    """A program for whatever shapes, enabled or not: worth its second because it is compiled once for all networks."""
    with _lock:
        return _library(text)


@cache
def _library(text: str) -> ctypes.CDLL | None:
    compiler = _compiler()
    folder = _folder()
    if compiler is None or folder is None:
        return None
    headers = "".join(path.read_text(encoding="utf-8") for path in sorted(_HEADERS.glob("*.h")))
    key = hashlib.sha256("\0".join([text, headers, compiler.identity, *_FLAGS]).encode()).hexdigest()
    path = folder / f"{key[:32]}.so"
    try:
        if not path.exists():
            _compile(compiler, text, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


class _Compiler(NamedTuple):
    command: tuple[str, ...]
    identity: str  # its version and what it knows of this processor


@cache
def _compiler() -> _Compiler | None:
    if os.name != "posix":
        return None
    commands: list[tuple[str, ...]] = [
        (name,) for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name and shutil.which(name)
    ]
    if importlib.util.find_spec("ziglang"):
        commands.append((sys.executable, "-m", "ziglang", "cc"))
    for command in commands:
        try:
            predefined = [*command, "-march=native", "-dM", "-E", "-x", "c", os.devnull]
            said = subprocess.run(predefined, capture_output=True, text=True, timeout=_SECONDS, check=True)
            return _Compiler(command, said.stdout)
        except (OSError, subprocess.SubprocessError):
            continue
    return None


def _compile(compiler: _Compiler, text: str, path: Path) -> None:
    """Writes beside, then renames: a library in the cache is always whole."""
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        file, built = Path(work) / "program.c", Path(work) / "program.so"
        file.write_text(text, encoding="utf-8")
        command = [*compiler.command, *_FLAGS, f"-I{_HEADERS}", "-o", str(built), str(file)]
        subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
        os.replace(built, path)


@cache
def _folder() -> Path | None:
    """The cache folder; one of this process alone where the user has none of their own."""
    try:
        home = "Library/Caches" if platform.system() == "Darwin" else ".cache"
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / home) / "glscert" / "programs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    except (OSError, RuntimeError):
        pass
    try:
        temporary = tempfile.TemporaryDirectory(prefix="glscert-")
        _kept.append(temporary)
        return Path(temporary.name)
    except OSError:
        return None


_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
