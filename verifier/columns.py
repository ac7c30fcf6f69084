"""The names of a table's features, as a network's file carries them, and a table's columns in the network's order."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .errors import InputError, listed

METADATA = "columns"  # the key of the file's metadata
_LONGEST = 2**20  # characters of the JSON list


def as_text(names: Sequence[str] | None) -> dict[str, str]:
    """The metadata that tell the names: a JSON list; nothing where there are none, or where they tell nothing apart."""
    text = json.dumps(names or (), ensure_ascii=False)
    if not names or "" in names or len(set(names)) < len(names) or len(text) > _LONGEST:
        return {}
    return {METADATA: text}


def read_columns(text: str | None, path: Path) -> tuple[str, ...] | None:
    """The names that the metadata of the network in `path` tell. Raises InputError where that is no list of names."""
    if text is None:
        return None
    try:
        found = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found) or len(set(found)) < len(found):
        raise InputError(f"{path}: its metadata 'columns' are no list of different names; export it anew.")
    return tuple(found)


def in_order(given: Sequence[str], wanted: Sequence[str], path: Path) -> list[int]:
    """Where each of the columns `wanted` is among those `given` in the table `path`.

    Raises InputError: one is missing or there twice, or others are there besides.
    """
    count = Counter(given)
    missing = [name for name in wanted if name not in count]
    strange = [name for name in count if name not in set(wanted)]
    if missing:
        other = f"; it has {listed(strange)}, which the network does not take" if strange else ""
        raise InputError(
            f"{path} has no column {missing[0]!r}, which the network was trained on{other}. Give a column for each of "
            f"{listed(wanted)}, or leave the header out where they are in this order."
        )
    if strange:
        raise InputError(
            f"{path} has the column {strange[0]!r}, which the network was not trained on; leave it out, or name the "
            "labels by --label."
        )
    if len(given) > len(wanted):
        raise InputError(f"{path} has a column more than once; columns are matched by their names.")
    return [list(given).index(name) for name in wanted]
