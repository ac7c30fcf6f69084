"""How far each entry of an input may move, and the valid range it stays in: one number each, or one per entry.

    .npz    arrays eps, low, high, each a single number or of the input's shape *v
    .csv    a header naming the columns eps, low, high (and others, which are passed over), one row per entry of the
            input, row-major; with a column `column`, one row per feature of a table, by its name

A radius of 0 freezes an entry. An end whose nearest float32 lies outside gives way to it: float32 inputs reach it.
"""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arrays import MOST_BYTES, read_arrays
from .errors import InputError, listed
from .numerals import ratio

NAMES = ("eps", "low", "high")
_COLUMN = ("column", "feature", "name")  # what a file of radii calls the names of the features
Entries = float | np.ndarray


class Norm(str, Enum):
    """What a radius is measured in: the largest change of an entry, the root of the sum of squares, or the sum.

    With a radius for each entry every change is divided by its own, and the norm of these shares is at most 1.
    """

    LINF = "linf"
    L2 = "l2"
    L1 = "l1"


class Region(NamedTuple):
    """Radius and range; float64 arrays are of the input's shape *v. None: not stated."""

    eps: Entries | None = None
    low: Entries | None = None
    high: Entries | None = None

    def over(self, other: "Region") -> "Region":
        """This one, completed by `other` where it states nothing; a range goes as a whole."""
        eps = other.eps if self.eps is None else self.eps
        stated = self.low is not None or self.high is not None
        low, high = (self.low, self.high) if stated else (other.low, other.high)
        return Region(eps, low, high)

    def complete(self) -> tuple[Entries, Entries, Entries]:
        """eps, low and high. Raises InputError where one of them is not stated."""
        if self.eps is None or self.low is None or self.high is None:
            raise InputError("no radius or no input range is stated; give them with --eps and --range.")
        return self.eps, self.low, self.high


def region(arrays: Mapping[str, Entries], shape: tuple[int, ...], where: str) -> Region:
    """A checked region for inputs [*shape] from what `where` states. Raises InputError: counts, NaN, empty ranges."""
    stated = {name: _entries(arrays[name], shape, f"{where}: {name}") for name in NAMES if name in arrays}
    eps = stated.get("eps")
    if eps is not None and not (np.isfinite(eps).all() and np.min(eps) >= 0):
        raise InputError(f"{where}: eps must be finite and not negative in every entry.")
    if ("low" in stated) != ("high" in stated):
        raise InputError(f"{where} states one end of the range; state both low and high.")
    low, high = (stated.get(name) for name in ("low", "high"))
    if low is not None and high is not None:
        if not np.all(np.less(low, high)):
            raise InputError(f"{where}: the range of some entry is empty; low must lie below high in every entry.")
        low, high = _outer(low, np.minimum), _outer(high, np.maximum)
    return Region(eps, low, high)


def read_region(path: Path, shape: tuple[int, ...], columns: Sequence[str] | None = None) -> Region:
    """The region in a file for inputs [*shape], features of a table with these `columns` where they have names.

    Raises InputError: no such file, another format, names that are not those of the columns, what `region` says.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file.")
    if path.suffix.lower() == ".csv":
        found: dict[str, np.ndarray] = _read_csv(path, columns)
    elif path.suffix.lower() == ".npz":
        found = read_arrays(path, (), NAMES)
    else:
        raise InputError(
            f"{path}: radii are read from .csv or .npz files (eps, and low and high where they are known)."
        )
    if not found:
        raise InputError(f"{path} states none of {', '.join(NAMES)}.")
    return region(found, shape, str(path))


def check_inside(x: np.ndarray, low: Entries, high: Entries, what: str) -> None:
    """Raises InputError where some of x [N, *v] lies outside the valid range."""
    if len(x) == 0:
        return
    # as float64, else numpy would round the ends to float32
    least, most = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    outside = np.argwhere((least < low) | (most > high))
    if len(outside):
        place = tuple(outside[0].tolist())
        low, high = (np.broadcast_to(end, least.shape)[place] for end in (low, high))
        raise InputError(
            f"{what} run from {x.min():g} to {x.max():g}, outside the valid range: entry {list(place)} from "
            f"{least[place]:g} to {most[place]:g}, its range is [{low:g}, {high:g}]. Scale them, or state the range "
            "they live in, as --range low,high (or none), or as low and high in their file."
        )


def _read_csv(path: Path, columns: Sequence[str] | None) -> dict[str, np.ndarray]:
    if path.stat().st_size > MOST_BYTES // 16:
        raise InputError(f"{path} is larger than {MOST_BYTES // 16} bytes; give radii as .npz.")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV text file ({error}).") from None
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = next((names.index(name) for name in _COLUMN if name in names), None)
    rows = rows[1:]
    try:
        if named is not None:
            rows = _in_order(rows, [row[named].strip() for row in rows], columns, path)
        return {name: np.array([ratio(row[names.index(name)]) for row in rows]) for name in NAMES if name in names}
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: {error}; every row needs a number under {', '.join(NAMES)}.") from None


def _in_order(rows: list[list[str]], named: list[str], columns: Sequence[str] | None, path: Path) -> list[list[str]]:
    """The rows in the order of the table's columns, whose names they give."""
    if columns is None:
        raise InputError(
            f"{path} names columns, and the data have no header that does; leave the names out, one row per entry in "
            "order, or give the data as .csv with a header."
        )
    for what, several in ((path, named), ("the data", columns)):
        twice = [name for name, count in Counter(several).items() if count > 1]
        if twice:
            raise InputError(f"{what} has {twice[0]!r} more than once; columns are matched by their names.")
    known, place = set(columns), {name: number for number, name in enumerate(named)}
    unknown = [name for name in named if name not in known]
    missing = [name for name in columns if name not in place]
    if unknown or missing:
        parts = [f"names {listed(unknown)}, which the data do not have as features"] if unknown else []
        parts += [f"lacks {listed(missing)}"] if missing else []
        raise InputError(f"{path} {' and '.join(parts)}; write one row for each of {listed(columns)}.")
    return [rows[place[name]] for name in columns]


def _entries(numbers: Entries, shape: tuple[int, ...], what: str) -> Entries:
    array = np.asarray(numbers)
    if np.isnan(array).any():
        raise InputError(f"{what} holds NaN; state a number for every entry.")
    if array.ndim == 0:
        return float(array)
    if array.size != prod(shape):
        raise InputError(f"{what} holds {array.size} numbers; the input has {prod(shape)} entries {list(shape)}.")
    return array.astype(np.float64).reshape(shape)


def _outer(ends: Entries, outermost: Callable[..., np.ndarray]) -> Entries:
    """The ends, or the float32 numbers that they are rounded to where those lie outside."""
    with np.errstate(over="ignore"):
        found = outermost(ends, np.asarray(ends, np.float32).astype(np.float64))
    return float(found) if np.ndim(found) == 0 else found
