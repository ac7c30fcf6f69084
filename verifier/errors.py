"""What can go wrong, as types; each carries the exit code that the command line ends with.

A message says what was found, what is supported and what to do next. A timeout or an undecided property is a value
(`outcome.Verdict.UNKNOWN`), never an exception, and no exception is ever a verdict.
"""

import re
from collections.abc import Iterable

_ASKED = re.compile(r"allocate (?P<bytes>\d+) bytes|[Aa]llocate (?P<size>[\d.]+ [KMGTP]iB)")
_SAYS_SO = ("can't allocate memory", "not enough memory", "out of memory")  # of what torch raises


def memory_missing(error: BaseException) -> str | None:
    """How much memory a library asked for in vain, as part of a sentence; None where the error says nothing of it."""
    said = str(error)
    if not isinstance(error, MemoryError) and not (
        isinstance(error, RuntimeError) and any(words in said for words in _SAYS_SO)
    ):
        return None
    asked = _ASKED.search(said)
    if asked is None:
        return "more memory than there is"
    size = asked["size"] or f"{int(asked['bytes']) / 2**30:.1f} GiB"
    return f"{size} of memory at once, more than there is"


class GlscertError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 5
    excerpt = ""  # lines of a text with the place marked, shown below the sentence


class InputError(GlscertError):
    """A path, file or value that cannot be used."""

    exit_code = 2


class MissingDataError(InputError):
    """The files of a data set are not there."""


class UnsupportedError(GlscertError):
    """A model asks for something that is not implemented: operator, attribute, shape or type."""

    exit_code = 4


def listed(names: Iterable[object], most: int = 12) -> str:
    """The first of them, for a sentence."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")
