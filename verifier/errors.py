"""What can go wrong, as types; each carries the exit code that the command line ends with.

A message says what was found, what is supported and what to do next. A timeout or an undecided property is a value
(`outcome.Verdict.UNKNOWN`), never an exception, and no exception is ever a verdict.
"""

from collections.abc import Iterable


class GlscertError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 5
    excerpt = ""  # lines of a text with the place marked, shown below the sentence


class InputError(GlscertError):
    """A path, file or value that cannot be used."""

    exit_code = 2


class UnsupportedError(GlscertError):
    """A model asks for something that is not implemented: operator, attribute, shape or type."""

    exit_code = 4


def listed(names: Iterable[object], most: int = 12) -> str:
    """The first of them, for a sentence."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")
