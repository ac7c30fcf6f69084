"""Tables of numbers in CSV files, and which of their columns holds the labels."""

import csv
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from .arrays import MOST_BYTES
from .errors import InputError, listed
from .numerals import TEXT_LABELS, number, numbers

LABELS = ("y", "label", "labels", "class", "target", "digit")  # names that a header has for them, in any case
FIRST, LAST = "first", "last"
_OTHERS = {";": "semicolons", "\t": "tabs"}
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_LONGEST = 2**24  # characters of a line


class Table(NamedTuple):
    """values [N, C] float64, and the header's names of the columns where there is one."""

    names: tuple[str, ...] | None
    values: np.ndarray


def read_table(path: Path, label: str | None = None) -> Table:
    """The numbers of a .csv file. Its first row is a header where it names the labels (`label`, or one of `LABELS`) or
    holds no number.

    Raises InputError: no such text, more than 4 GiB, rows of different lengths, cells that are no numbers.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES} bytes; split it.")
    found, names, width = array("d"), None, 0
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(_lines(file, path))
            for cells in filter(None, reader):
                if not width:
                    width = len(cells)
                    if _is_header(cells, label):
                        names = tuple(cell.strip() for cell in cells)
                        continue
                if 8 * (len(found) + width) > MOST_BYTES:
                    raise InputError(f"{path} holds more than {MOST_BYTES // 8} numbers; split it.")
                try:
                    found.extend(_numbers(cells, width))
                except ValueError as error:
                    raise InputError(f"{path}, line {reader.line_num}: {error}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV text file ({error}).") from None
    if not found or width < 2:
        raise InputError(f"{path} holds no rows of features and a label, separated by commas.")
    return Table(names, np.frombuffer(found).reshape(-1, width))


def _numbers(cells: list[str], width: int) -> list[float]:
    """Raises ValueError with what is wrong with a row, most likely."""
    try:
        if len(cells) == width:
            return numbers(cells)
        wrong = f"{len(cells)} cells where the first row has {width}"
    except ValueError as error:
        wrong = f"{error}; cells must be numbers. If it is a label, {TEXT_LABELS}"
    separator = next((name for sign, name in _OTHERS.items() if any(sign in cell for cell in cells)), None)
    if separator is not None:
        wrong = (
            f"cells are separated by {separator}, it seems; separate them by commas, and write decimals with a point"
        )
    elif any(_DECIMAL_COMMA.fullmatch(cell.strip()) for cell in cells) or len(cells) in (2 * width, 2 * width - 1):
        wrong += "; decimals are written with a point, not with a comma"
    raise ValueError(wrong)


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise InputError(f"{path} has a line of {_LONGEST} characters and more; give such inputs as .npz.")
        yield line


def label_column(table: Table, wanted: str | None, classes: int | None, path: Path) -> int:
    """Which column holds the labels: the one wanted, a name or first or last; else the one that a header calls so; else
    the last, where it looks more like labels than the first.

    classes: how many the network scores; None: not known, and labels are all of 0 … k - 1.
    Raises InputError where it cannot be told.
    """
    last = table.values.shape[1] - 1
    if wanted is not None:
        return _wanted(table.names, wanted, last, path)
    likeness = [_likeness(table.values[:, place], classes) for place in range(last + 1)]
    named = [place for place, name in enumerate(table.names or ()) if name.lower() in LABELS]
    likely = [place for place in named if likeness[place] == max(likeness[each] for each in named)]
    if len(likely) == 1:
        return likely[0]
    if named:
        shown = " and ".join(column_name(table, place) for place in named)
        raise InputError(f"{path}: the columns {shown} may each hold the labels; name one by --label.")
    if likeness[last] > likeness[0]:
        return last
    wanted = "class numbers, counted from 0" if classes is None else f"class numbers 0 … {classes - 1}"
    first, other = (f"{which} column{_called(table, place)}" for which, place in ((FIRST, 0), (LAST, last)))
    if likeness[0] > likeness[last]:
        raise InputError(
            f"{path}: the {first} looks like the labels ({wanted}), the {other} does not; take it by --label first, "
            "or name another column."
        )
    which = "both hold" if likeness[0] == 2 else "hold no"
    raise InputError(
        f"{path}: the {first} and the {other} {which} {wanted}; say which holds the labels by --label first, --label "
        "last or --label NAME."
    )


def column_name(table: Table, place: int) -> str:
    """What `wanted` would be for this column."""
    if table.names is not None and table.names.count(table.names[place]) == 1 and table.names[place]:
        return table.names[place]
    return LAST if place else FIRST


def _wanted(names: tuple[str, ...] | None, wanted: str, last: int, path: Path) -> int:
    same = [place for place, name in enumerate(names or ()) if name == wanted.strip()]
    same = same or [place for place, name in enumerate(names or ()) if name.lower() == wanted.strip().lower()]
    position = {FIRST: 0, LAST: last}.get(wanted)
    if position is not None and same in ([], [position]):
        return position
    if len(same) == 1 and position is None:
        return same[0]
    if names is None:
        raise InputError(f"{path} has no header that names a column {wanted!r}; write --label first or --label last.")
    if not same:
        raise InputError(f"{path} has no column {wanted!r}, only {listed(names)}; name one, or write first or last.")
    raise InputError(f"{path}: --label {wanted} may mean more than one of its columns; give each its own name.")


def _likeness(column: np.ndarray, classes: int | None) -> int:
    """To labels: 2 of class numbers, 1 of other whole numbers or, in several rows, only one of them; else 0. Numbers of
    rows, which all differ, are no classes."""
    if not np.isfinite(column).all() or not np.array_equal(column, np.round(column)) or column.min() < 0:
        return 0
    found = np.unique(column)
    if classes is None:
        return 1 + (1 < len(found) == found[-1] + 1 < len(column))
    return 1 + bool((len(found) > 1 or len(column) == 1) and found[-1] < classes)


def _is_header(cells: list[str], label: str | None) -> bool:
    names = [cell.strip().lower() for cell in cells]
    known = LABELS if label is None or label in (FIRST, LAST) else (*LABELS, label.strip().lower())
    return any(name in known for name in names) or not any(map(_is_number, names))


def _is_number(text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True


def _called(table: Table, place: int) -> str:
    return "" if table.names is None else f" ({table.names[place]})"
