"""TOML files: a run's configuration, a gate's policy."""

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .errors import InputError
from .files import read_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 2**18
# Parsers take the square of the names that a dotted key has: 20 seconds for 30,000 of them. Decimals are no names.
_MOST_DOTS, _DECIMAL = 100, re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][+-]?\d+)?(?![\w.])")


class TomlFile(NamedTuple):
    path: Path
    text: str
    table: dict[str, Any]


def read_toml(path: Path, what: str = "configuration") -> dict[str, Any]:
    """The table in a file; `what` is in it. Raises InputError: no such file, too large, or not TOML."""
    return read_toml_file(path, what).table


def read_toml_file(path: Path, what: str) -> TomlFile:
    """The same, with its text."""
    try:
        if not path.is_file():
            raise InputError(f"there is no {what} file {path}.")
        text = read_bytes(path, MOST_BYTES, f"{what} file").decode()
        if any(line.count(".") > _MOST_DOTS for line in _DECIMAL.sub("", text).splitlines()):
            raise ValueError(f"a line of more than {_MOST_DOTS} names with dots between them")
        return TomlFile(path, text, tomllib.loads(text))
    except ValueError as error:  # what is no TOML, no UTF-8, or an integer of thousands of digits
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    except RecursionError:
        raise InputError(f"{path} is not valid TOML: it is nested too deeply.") from None
