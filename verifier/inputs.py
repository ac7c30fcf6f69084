"""Labelled inputs from a user's own file: `.npz` (x, y) or `.csv` (a label column and the features)."""

import csv
import zipfile
import zlib
from math import prod
from pathlib import Path

import numpy as np

from .errors import InputError

MOST_BYTES = 4 * 2**30
# Damage anywhere in a zip file: its frame, its compression, an encrypted entry, a header that claims the impossible.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    SyntaxError,
    MemoryError,
)
_LABELS = ("y", "label", "class", "target")


def read_inputs(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, *shape], rounded to float32, and integer labels [N] of `path`; rows may come flattened.

    Raises InputError: no such file, another format, more than 4 GiB, rows that do not fit the shape, labels that are
    not integers or not as many as inputs, values that are not finite.
    """
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv"):
        raise InputError(f"{path}: inputs are read from .npz (arrays x and y) or .csv files.")
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file.")
    x, y = (_read_npz if kind == ".npz" else _read_csv)(path)
    if y.ndim != 1 or not np.isfinite(y).all() or not np.array_equal(y, np.round(y)) or np.abs(y).max(initial=0) > 1e9:
        raise InputError(f"{path}: labels must be one integer per input; got shape {y.shape} of {y.dtype}.")
    if len(x) != len(y):
        raise InputError(f"{path} holds {len(x)} inputs but {len(y)} labels; give one label per input.")
    if x.shape[1:] != shape and prod(x.shape[1:]) != prod(shape):
        raise InputError(f"{path} holds inputs of shape {x.shape[1:]}; the network takes {shape}.")
    with np.errstate(over="ignore"):
        x = x.reshape(len(x), *shape).astype(np.float32)
    if not np.isfinite(x).all():
        raise InputError(f"{path}: the inputs hold NaN or values beyond float32; remove them.")
    return x, y.astype(np.int64)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise InputError(f"{path} unpacks to more than {MOST_BYTES} bytes; split it.")
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("x", "y") if name not in arrays]
            if missing:
                raise InputError(
                    f"{path} has no array {missing[0]!r}, only {', '.join(arrays) or 'nothing'}; name them x and y."
                )
            x, y = arrays["x"], arrays["y"]
    except _UNREADABLE as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error}).") from None
    for name, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path}: {name} is not a NumPy array; write the file with numpy.savez.")
        if array.ndim == 0 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise InputError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}; numbers, one row per input, are needed."
            )
    return x, y


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """With a header the label column is named y, label, class or target; otherwise, or failing that, it is the last."""
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES} bytes; split it.")
    rows: list[list[float]] = []
    width, label = 0, -1
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in filter(None, reader):
                if not width:
                    width = len(cells)
                    named = _label_column(cells)
                    if named is not None:
                        label = named
                        continue
                if len(cells) != width:
                    raise InputError(f"{path}, line {reader.line_num}: {len(cells)} cells where the first has {width}.")
                try:
                    rows.append([float(cell) for cell in cells])
                except ValueError as error:
                    raise InputError(f"{path}, line {reader.line_num}: {error}; cells must be numbers.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV text file ({error}).") from None
    if not rows or width < 2:
        raise InputError(f"{path} holds no rows of features and a label.")
    table = np.array(rows)
    return np.delete(table, label, axis=1), table[:, label]


def _label_column(cells: list[str]) -> int | None:
    """Where a header has the labels; None where the row is no header: a cell is a number and none names the label."""
    names = [cell.strip().lower() for cell in cells]
    named = next((i for i, name in enumerate(names) if name in _LABELS), None)
    if named is None and not any(map(_is_number, names)):
        return -1
    return named


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
