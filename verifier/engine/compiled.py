"""Programs in C: those that come with the package, or made by the machine's own compiler, once, and kept.

A compiler is looked for in this order: $CC, cc, gcc, clang, and the one in the package `ziglang`. Where there is none,
or it fails, the answer is None and the caller goes the way of numpy or torch. Programs lie in the user's cache folder,
under the hash of their text, the compiler's version and the processor's features, so a cache shared by different
machines is safe; the folder must be the user's own and closed to others, as it holds code.
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
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from . import prebuilt, processor

HEADERS = Path(__file__).with_name("c")
# Loops may be reordered over sums; NaN and infinity keep their meaning.
_FLAGS = "-O3 -std=gnu11 -fPIC -shared -fno-math-errno -fno-trapping-math".split()
_FLAGS += "-fno-signed-zeros -fassociative-math -ffp-contract=fast".split()
_NATIVE = "-march=native"
_VECTORS = {"__AVX512F__": 64, "__AVX__": 32}  # bytes; wider ones than a processor has are slow
_SECONDS = 120  # until a compiler that hangs is given up

_lock = threading.Lock()


class Program(NamedTuple):
    """A loaded program and the number of rows that it works on at a time."""

    library: ctypes.CDLL
    lanes: int


def program(header: str, itemsize: int) -> Program | None:
    """The one in this file of c/, for whatever network and numbers of so many bytes; None where there is none."""
    with _lock:  # a second thread waits for the first one's program
        return _program(header, itemsize)


@cache
def _program(header: str, itemsize: int) -> Program | None:
    found = shipped(header, itemsize, prebuilt.FOLDER)
    if found is not None:
        return found
    wide = lanes(1 << 10, itemsize)
    made = _library(text(header, wide, itemsize), (HEADERS,))
    return None if made is None else Program(made, wide)


def library(text: str, *folders: Path) -> ctypes.CDLL | None:
    """The text compiled and loaded. folders: of the headers that it includes, beside those here."""
    with _lock:
        return _library(text, (HEADERS, *folders))


def text(header: str, lanes: int, itemsize: int) -> str:
    """Of a program whose only file is a header of c/."""
    return f'#define LANES {lanes}\n#define DOUBLE {int(itemsize == 8)}\n#include "vector.h"\n#include "{header}"\n'


def lanes(rows: int, itemsize: int) -> int:
    """How many of `rows` a compiled program works on at a time: a processor's vector, or the smallest part of one that
    holds them."""
    compiler = _compiler()
    predefined = "" if compiler is None else compiler.identity
    full = next((wide for name, wide in _VECTORS.items() if name in predefined), 16) // itemsize
    return next((n for n in (4, 8) if rows <= n < full), full)


def found() -> bool:
    """Whether there is a compiler."""
    return _compiler() is not None


def command() -> tuple[str, ...] | None:
    """What starts the compiler, where there is one."""
    compiler = _compiler()
    return None if compiler is None else compiler.command


def why_none() -> str:
    """Why `program` found nothing, in a sentence."""
    compiler = _compiler()
    if compiler is None:
        return "no program comes with the package for this machine, and no C compiler was found"
    return f"{' '.join(compiler.command)} did not compile the program"


def shipped(header: str, itemsize: int, folder: Path) -> Program | None:
    """The best of those built into a folder that this machine runs; None where there is none."""
    for level in prebuilt.here() if folder.is_dir() else []:
        path = folder / shipped_name(header, itemsize, level)
        try:
            if path.exists():
                return Program(ctypes.CDLL(str(path)), level.vector // itemsize)
        except OSError:
            continue
    return None


def shipped_name(header: str, itemsize: int, level: prebuilt.Level) -> str:
    """The file's name of such a program."""
    made_of = text(header, level.vector // itemsize, itemsize), *(path.read_text("utf-8") for path in _headers())
    return prebuilt.file_name(header, itemsize, level, _hash(*made_of, level.flag, *_FLAGS)[:16])


def build(header: str, itemsize: int, level: prebuilt.Level, folder: Path, command: Sequence[str]) -> Path:
    """Compiles such a program into a folder. Raises OSError, or SubprocessError where the compiler fails."""
    path = folder / shipped_name(header, itemsize, level)
    _compile(command, level.flag, text(header, level.vector // itemsize, itemsize), (HEADERS,), path)
    return path


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _headers(*folders: Path) -> list[Path]:
    return [path for folder in folders or (HEADERS,) for path in sorted(folder.glob("*.h"))]


@cache
def _library(text: str, folders: tuple[Path, ...]) -> ctypes.CDLL | None:
    compiler, kept = _compiler(), _folder()
    if compiler is None or kept is None:
        return None
    headers = (path.read_text("utf-8") for path in _headers(*folders))
    path = kept / f"{_hash(text, *headers, compiler.identity, _NATIVE, *_FLAGS)[:32]}.so"
    try:
        if not path.exists():
            _compile(compiler.command, _NATIVE, text, folders, path)
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
    commands: list[tuple[tuple[str, ...], str]] = []  # and the file to be looked at
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        path = shutil.which(name) if name else None
        if path is not None:
            commands.append(((name,), path))
    zig = importlib.util.find_spec("ziglang")
    if zig is not None and zig.origin is not None:
        commands.append(((sys.executable, "-m", "ziglang", "cc"), str(Path(zig.origin).with_name("zig"))))
    for command, path in commands:
        try:
            return _Compiler(command, _identity(command, path))
        except (OSError, subprocess.SubprocessError):
            continue
    return None


def _identity(command: tuple[str, ...], path: str) -> str:
    """What the compiler predefines, from the cache where the same file said it on the same processor: starting it takes
    longer than small proofs do."""
    real = os.path.realpath(path)
    state, folder = os.stat(real), _folder()
    key = _hash(*command, real, str(state.st_mtime_ns), str(state.st_size), processor.identity())
    kept = None if folder is None else folder / f"{key[:32]}.txt"
    if kept is not None and kept.exists():
        return kept.read_text("utf-8")
    predefined = [*command, _NATIVE, "-dM", "-E", "-x", "c", os.devnull]
    said = subprocess.run(predefined, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    if kept is not None:
        with tempfile.TemporaryDirectory(dir=kept.parent) as work:
            written = Path(work) / "predefined"
            written.write_text(said, encoding="utf-8")
            os.replace(written, kept)
    return said


def _compile(command: Sequence[str], level: str, text: str, folders: Sequence[Path], path: Path) -> None:
    """Writes beside, then renames: a library in the cache is always whole."""
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        file, built = Path(work) / "program.c", Path(work) / "program.so"
        file.write_text(text, encoding="utf-8")
        includes = [f"-I{folder}" for folder in folders]
        call = [*command, *_FLAGS, level, *includes, "-o", str(built), str(file), "-lm"]
        subprocess.run(call, capture_output=True, timeout=_SECONDS, check=True)
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
