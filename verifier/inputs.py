"""Labelled inputs from a user's own file, the same for training and verifying.

.npz    arrays x [N, *v] and y [N], of a regression [N], [N, K] or none; eps, low and high where it states a region of
        its own (`region`)
.csv    a label column and the features, one row per input
"""

import csv
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arrays import MOST_BYTES, read_arrays
from .errors import InputError
from .region import NAMES, Region, region

_LABELS = ("y", "label", "class", "target")


class Inputs(NamedTuple):
    """x [N, *v] float32, labels y [N] int64, and the region that the file states."""

    x: np.ndarray
    y: np.ndarray
    region: Region


def read_inputs(path: Path, shape: tuple[int, ...] | None = None, *, numbers: bool = False) -> Inputs:
    """The inputs of `path`, rounded to float32; rows may come flattened where `shape` (*v) says what they are. numbers:
    labels are those of a regression, float64 [N], [N, K], or [N, 0] where an .npz file has none.

    Raises InputError: no such file, another format, more than 4 GiB, rows that do not fit the shape, labels that are
    not integers or not as many as inputs, values that are not finite, a region that is none.
    """
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv"):
        raise InputError(f"{path}: inputs are read from .npz (arrays x and y) or .csv files.")
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file.")
    needed, optional = (("x",), ("y", *NAMES)) if numbers else (("x", "y"), NAMES)
    arrays = read_arrays(path, needed, optional) if kind == ".npz" else _read_csv(path)
    x = arrays["x"]
    if x.ndim == 0:
        raise InputError(f"{path}: x is a single number; numbers, one row per input, are needed.")
    y = arrays.get("y", np.zeros((len(x), 0)))
    if not numbers and _not_classes(y):
        raise InputError(
            f"{path}: labels must be one integer per input; got shape {y.shape} of {y.dtype}. Of a regression "
            "give --tolerance."
        )
    if y.ndim not in (1, 2) or not np.isfinite(y).all():
        raise InputError(f"{path}: labels must be finite numbers, one or K per input; got shape {y.shape}.")
    if len(x) != len(y):
        raise InputError(f"{path} holds {len(x)} inputs but {len(y)} labels; give one label per input.")
    shape = x.shape[1:] if shape is None else shape
    if x.shape[1:] != shape and prod(x.shape[1:]) != prod(shape):
        raise InputError(f"{path} holds inputs of shape {x.shape[1:]}; the network takes {shape}.")
    with np.errstate(over="ignore"):
        x = x.reshape(len(x), *shape).astype(np.float32)
    if not np.isfinite(x).all():
        raise InputError(f"{path}: the inputs hold NaN or values beyond float32; remove them.")
    return Inputs(x, y.astype(np.float64 if numbers else np.int64), region(arrays, shape, str(path)))


def _not_classes(y: np.ndarray) -> bool:
    return bool(
        y.ndim != 1 or not np.isfinite(y).all() or not np.array_equal(y, np.round(y)) or np.abs(y).max(initial=0) > 1e9
    )


def _read_csv(path: Path) -> dict[str, np.ndarray]:
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
    return {"x": np.delete(table, label, axis=1), "y": table[:, label]}


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
