"""Verdicts of an earlier run, kept in a file beside the models, and what changed since.

Schema `glscert/baseline/1`: schema, models {name: {sha256, about, verdicts}}.
verdicts, of inputs: rows of 100 letters, one for each input from `about.first` on: v verified, f falsified, m
misclassified, u unknown. Of properties: {name: [letter, sha256]}; e is a property that could not be read.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..files import read_bytes, replace_file
from .verdicts import VERIFIED, WORDS, Verdicts

SCHEMA = "glscert/baseline/1"
_MOST_BYTES, _ROW = 2**26, 100
_LETTERS = {word[0]: word for word in WORDS}


class Change(NamedTuple):
    key: str
    before: str
    after: str


class Comparison(NamedTuple):
    """lost: was verified and is not; won: is and was not. new: properties that the baseline does not have, or with
    another content. remark: what a reader should know, or ""."""

    lost: tuple[Change, ...] = ()
    won: tuple[Change, ...] = ()
    new: tuple[str, ...] = ()
    remark: str = ""


class Known(NamedTuple):
    """Of one model: by key a letter and, of properties, the digest."""

    sha256: str
    about: dict[str, Any]
    verdicts: dict[str, tuple[str, str]]


class Baseline:
    """known: by the name that the policy has for the model."""

    def __init__(self, path: Path, known: dict[str, Known]) -> None:
        self.path, self.known = path, known

    @classmethod
    def read(cls, path: Path) -> "Baseline":
        """Raises InputError: no such file, or not one of `save`."""
        data = read_bytes(path, _MOST_BYTES, "baseline, which --update-baseline writes")
        try:
            found = json.loads(data)
            if found["schema"] != SCHEMA:
                raise ValueError(f"its schema is {str(found['schema'])[:40]!r}, not {SCHEMA!r}")
            return cls(path, {name: _known(each) for name, each in found["models"].items()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if type(error) is ValueError else "damaged, or cut short"
            raise InputError(f"{path} is no baseline ({why}); record one with --update-baseline.") from None

    def compared(self, name: str, now: Verdicts, *, anew: bool = False) -> Comparison:
        """Raises InputError where the baseline is about another question, unless it is recorded anew."""
        before = self.known.get(name)
        if before is None:
            return Comparison(remark=f"{self.path.name} does not have it yet; --update-baseline records it.")
        differs = [key for key in now.about if before.about.get(key) != now.about[key]]
        if differs or before.about.keys() != now.about.keys():
            key = differs[0] if differs else "question"
            if anew:
                return Comparison(remark=f"{self.path.name} was about another {key}.")
            raise InputError(
                f"{self.path} holds verdicts of {name} for another {key}: {before.about.get(key)!s:.80}, not "
                f"{now.about.get(key)!s:.80}. Record it anew with --update-baseline."
            )
        return _changes(before, now)

    def update(self, name: str, now: Verdicts) -> None:
        entries = {one.key: (one.verdict[0], now.asked.get(one.key, "")) for one in now.decided}
        self.known[name] = Known(now.sha256, now.about, entries)

    def save(self) -> None:
        models = {name: _as_json(self.known[name]) for name in sorted(self.known)}
        text = json.dumps({"schema": SCHEMA, "models": models}, allow_nan=False, indent=1, ensure_ascii=False) + "\n"
        replace_file(self.path, lambda file: file.write(text.encode()))


def _changes(before: Known, now: Verdicts) -> Comparison:
    after = {one.key: one.verdict for one in now.decided}
    lost, won, new = list[Change](), list[Change](), list[str]()
    for key, (letter, digest) in before.verdicts.items():
        if digest == now.asked.get(key, "" if key in after else digest):
            change = Change(key, _LETTERS[letter], after.get(key, "not asked any more"))
            if VERIFIED in (change.before, change.after) and change.before != change.after:
                (lost if change.before == VERIFIED else won).append(change)
    for key in after:
        if key not in before.verdicts or before.verdicts[key][1] != now.asked.get(key, ""):
            new.append(key)
    return Comparison(tuple(lost), tuple(won), tuple(new))


def _as_json(known: Known) -> dict[str, Any]:
    if "first" not in known.about:
        verdicts: Any = {name: list(known.verdicts[name]) for name in sorted(known.verdicts)}
    else:
        letters = "".join(letter for letter, _ in known.verdicts.values())
        verdicts = [letters[first : first + _ROW] for first in range(0, len(letters), _ROW)]
    return {"sha256": known.sha256, "about": known.about, "verdicts": verdicts}


def _known(found: dict[str, Any]) -> Known:
    about, verdicts = found["about"], found["verdicts"]
    if not isinstance(found["sha256"], str) or not isinstance(about, dict):
        raise TypeError
    if isinstance(verdicts, dict):
        entries = {name: (str(letter), str(digest)) for name, (letter, digest) in verdicts.items()}
    else:
        letters = "".join(verdicts)
        if len(letters) != about["last"] - about["first"]:
            raise ValueError(f"{len(letters)} verdicts of {about['last'] - about['first']} inputs")
        entries = {str(number): (letter, "") for number, letter in enumerate(letters, about["first"])}
    strange = {letter for letter, _ in entries.values()} - _LETTERS.keys()
    if strange:
        raise ValueError(f"a verdict {min(strange)[:40]!r}")
    return Known(found["sha256"], about, entries)
