"""The keys of a policy, and what each holds; what is none of them is refused with the line and the nearest that is."""

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ..errors import InputError
from ..numerals import ratio

MOST_TEXT = 1024
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+)\s*=")


class Place(NamedTuple):
    """A table of a policy: what a sentence calls it, and the lines of its keys; "" is its header's."""

    path: Path
    name: str
    lines: Mapping[str, int]

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raises InputError."""
        line = self.lines.get(key, self.lines.get(""))
        where = f"{self.path}, line {line}" if line else f"{self.path}"
        raise InputError(f"{where}: {self.name}: {why}")


def lines_of(text: str) -> dict[tuple[str, int], dict[str, int]]:
    """(table, its number among those of its name) -> key -> line, from 1 on. Nothing where texts of several lines could
    be taken for keys."""
    found: dict[tuple[str, int], dict[str, int]] = {("", 0): {}}
    if '"""' in text or "'''" in text:
        return found
    here, counts = found["", 0], dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            name = header[2]
            counts[name] = counts.get(name, -1) + 1
            here = found.setdefault((name, counts[name]), {"": number})
            found["", 0].setdefault(name, number)
        elif key := _KEY.match(line):
            here.setdefault(key[1], number)
    return found


Check = Callable[[Any], Any]  # the value as it is used; raises ValueError: what it should be


def check(table: Mapping[str, Any], known: Mapping[str, Check], place: Place) -> dict[str, Any]:
    """The values of a table whose keys are known. Raises InputError."""
    found = {}
    for key, value in table.items():
        if key not in known:
            place.refuse(key, unknown("key", key, known))
        try:
            found[key] = known[key](value)
        except ValueError as error:
            place.refuse(key, f"{key} = {shown(value)}: give {error}.")
    return found


def unknown(what: str, name: str, known: Collection[str]) -> str:
    near = get_close_matches(name[:99], known, 1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    return f"the {what} {shown(name)} is not known{meant} Known: {', '.join(known)}."


def shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits, which has none
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}…"


def printable(said: str) -> str:
    """Without characters that would steer a terminal."""
    return "".join(each if each.isprintable() or each.isspace() else "\N{REPLACEMENT CHARACTER}" for each in said)


def text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT or not value.isprintable():
        raise ValueError(f"a text of 1 to {MOST_TEXT} printable characters")
    return value


def truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or not isfinite(value):
        raise ValueError("a finite number")
    return float(value)


def share(value: Any) -> float:
    found = number(value)
    if not 0 <= found <= 1:
        raise ValueError("a share from 0 to 1, such as 0.9")
    return found


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError("a whole number that is not negative")
    return value


def positive(value: Any) -> int:
    if count(value) == 0:
        raise ValueError("a whole number greater than 0")
    return int(value)


def radius(value: Any) -> str:
    """As the command line has it: 0.1, 2/255, or one for each entry."""
    parts = value if isinstance(value, list) else [value]
    try:
        for part in parts:
            if not 0 <= number(ratio(part) if isinstance(part, str) else part):
                raise ValueError
    except ValueError:
        parts = []
    if not parts:
        raise ValueError('a radius such as 0.1 or "2/255", or a list with one for each entry')
    return ",".join(part if isinstance(part, str) else repr(number(part)) for part in parts)


def span(value: Any) -> str:
    """low,high or none."""
    if value == "none":
        return "none"
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError('the two ends of the valid range, such as [0, 1], or "none"')
    return ",".join(repr(number(end)) for end in value)


def endings(value: Any) -> tuple[str, ...]:
    found = texts(value)
    if any(set("/\\") & set(each) for each in found):
        raise ValueError("endings of file names, such as .toml")
    return found


def texts(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    try:
        return tuple(text(each) for each in several)
    except ValueError:
        raise ValueError("a text, or a list of texts") from None
