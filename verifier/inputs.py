"""Labelled inputs from a user's own file: `.npz` (x, y) or `.csv` (a label column and the features)."""

import csv
import zipfile
from math import prod
from pathlib import Path

import numpy as np

from .errors import InputError

MOST_BYTES = 4 * 2**30
_LABELS = ("y", "label", "class", "target")


def read_inputs(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, *shape] float32 and integer labels [N] of `path`; rows may come flattened.

    Raises InputError: no such file, another format, more than 4 GiB, rows that do not fit the shape, labels that are
    not integers or not as many as inputs.
    """
    if path.suffix not in (".npz", ".csv"):
        raise InputError(f"{path}: inputs are read from .npz (arrays x and y) or .csv files.")
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file.")
    x, y = (_read_npz if path.suffix == ".npz" else _read_csv)(path)
    if len(x) != len(y):
        raise InputError(f"{path} holds {len(x)} inputs but {len(y)} labels; give one label per input.")
    if x.shape[1:] != shape and prod(x.shape[1:]) != prod(shape):
        raise InputError(f"{path} holds inputs of shape {x.shape[1:]}; the network takes {shape}.")
    if y.ndim != 1 or not np.array_equal(y, np.round(y)):
        raise InputError(f"{path}: labels must be one integer per input; got shape {y.shape} of {y.dtype}.")
    return x.reshape(len(x), *shape).astype(np.float32), y.astype(np.int64)


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
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error}).") from None
    for name, array in (("x", x), ("y", y)):
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
    label = -1
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for number, cells in enumerate(csv.reader(file), 1):
                if not cells:
                    continue
                try:
                    row = [float(cell) for cell in cells]
                except ValueError as error:
                    if rows or number > 1:
                        raise InputError(f"{path}, line {number}: {error}; cells must be numbers.") from None
                    names = [cell.strip().lower() for cell in cells]
                    label = next((i for i, name in enumerate(names) if name in _LABELS), -1)
                    continue
                if rows and len(row) != len(rows[0]):
                    raise InputError(f"{path}, line {number}: {len(row)} cells where the first row has {len(rows[0])}.")
                rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV text file ({error}).") from None
    if not rows or len(rows[0]) < 2:
        raise InputError(f"{path} holds no rows of features and a label.")
    table = np.array(rows)
    return np.delete(table, label, axis=1), table[:, label]
