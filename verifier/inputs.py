"""Labelled inputs from a user's own file, the same for training and verifying.

.npz    arrays x [N, *v] and y [N], of a regression [N], [N, K] or none; eps, low and high where it states a region of
        its own (`region`)
.csv    a label column and the features, one row per input
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arrays import exact, laid_out, one_each, read_arrays, whole
from .columns import in_order
from .errors import InputError
from .region import NAMES, Region, region
from .table import column_name, label_column, read_table


class Inputs(NamedTuple):
    """x [N, *v] as the file has them, float64 where some are no float32 numbers; labels y [N] int64, or those of a
    regression; the region that the file states. Of a table with a header `columns` are the names of its features;
    `label` is the column that the labels were taken from, by its name or as first or last; `moved` says that the
    features were put in another order than the table's.
    """

    x: np.ndarray
    y: np.ndarray
    region: Region
    columns: tuple[str, ...] | None = None
    label: str | None = None
    moved: bool = False


def read_inputs(
    path: Path,
    shape: tuple[int, ...] | None = None,
    *,
    label: str | None = None,
    classes: int | None = None,
    numbers: bool = False,
    columns: Sequence[str] | None = None,
) -> Inputs:
    """The inputs of `path`; rows may come flattened where `shape` (*v) says what they are. label: a table's column of
    labels, where `label_column` is not to find it for so many `classes`. numbers: labels are those of a regression,
    float64 [N], [N, K], or [N, 0] where an .npz file has none. columns: names of the features in the order that is
    wanted, which a table with a header is put in.

    Raises InputError: no such file, another format, more than 4 GiB, inputs that do not fit the shape, labels that are
    not integers, not as many as inputs or in no certain column, values that are not finite, a region that is none,
    a header that does not name the columns.
    """
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv"):
        raise InputError(f"{path}: inputs are read from .npz (arrays x and y) or .csv files.")
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file.")
    if kind == ".csv":
        return _from_table(path, shape, label, classes, numbers, columns)
    if label is not None:
        raise InputError(f"{path}: --label names a column of a .csv file; the labels of an .npz file are its array y.")
    needed, optional = (("x",), ("y", *NAMES)) if numbers else (("x", "y"), NAMES)
    arrays = read_arrays(path, needed, optional, text=() if numbers else ("y",))
    if arrays["x"].ndim == 0:
        raise InputError(f"{path}: x is a single number; numbers, one row per input, are needed.")
    labels = arrays.get("y", np.zeros((len(arrays["x"]), 0)))
    found = _checked(arrays["x"], labels, shape, path, numbers)
    return found._replace(region=region(arrays, found.x.shape[1:], str(path)))


def _from_table(
    path: Path,
    shape: tuple[int, ...] | None,
    label: str | None,
    classes: int | None,
    numbers: bool,
    columns: Sequence[str] | None,
) -> Inputs:
    table = read_table(path, label)
    if numbers and shape is not None and table.values.shape[1] == prod(shape):
        raise InputError(
            f"{path} has {prod(shape)} columns, as many as the network has inputs, and so no labels; these may be left "
            "out in an .npz file only."
        )
    place = label_column(table, label, classes, path)
    x = np.delete(table.values, place, axis=1)
    names = None if table.names is None else (*table.names[:place], *table.names[place + 1 :])
    moved = False
    if names is not None and columns is not None and names != tuple(columns):
        x, names, moved = x[:, in_order(names, columns, path)], tuple(columns), True
    found = _checked(x, table.values[:, place], shape, path, numbers)
    return found._replace(columns=names, label=column_name(table, place), moved=moved)


def _checked(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...] | None, path: Path, numbers: bool) -> Inputs:
    if shape is not None:
        x = laid_out(x, shape, f"{path}: inputs")
    if numbers:
        if y.ndim not in (1, 2) or len(y) != len(x) or not np.isfinite(y).all():
            raise InputError(
                f"{path}: {len(x)} inputs, but labels of shape {list(y.shape)} or not finite; give a finite number for "
                "each output of each input."
            )
        return Inputs(exact(x, f"{path}: inputs"), y.astype(np.float64), Region())
    y = one_each(y, len(x), f"{path}: labels")
    y = whole(
        y, f"{path}: labels", "A regression is verified with `glscli verify --tolerance`; training is of classes."
    )
    return Inputs(exact(x, f"{path}: inputs"), y, Region())
