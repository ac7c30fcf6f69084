"""The text of a property file, and errors that show the place in it."""

from pathlib import Path
from typing import NamedTuple

from ..errors import GlscertError, InputError, UnsupportedError
from ..files import read_bytes

MAX_BYTES = 256 * 2**20
_SHOWN = 60  # characters to either side of a place


class Problem(Exception):
    """What is wrong at a place of the text; `Source.error` makes it the user's error."""

    def __init__(self, place: int, sentence: str, kind: type[GlscertError] = InputError) -> None:
        super().__init__(sentence)
        self.place, self.kind = place, kind


def unsupported(place: int, sentence: str) -> Problem:
    return Problem(place, sentence, UnsupportedError)


class Source(NamedTuple):
    """A file's path and its text."""

    path: Path
    text: str

    def error(self, problem: Problem) -> GlscertError:
        """`path:line:column: sentence`, with the line and a caret under the place below it."""
        start = self.text.rfind("\n", 0, problem.place) + 1
        end = self.text.find("\n", problem.place)
        line, column = self.text.count("\n", 0, problem.place) + 1, problem.place - start + 1
        first = max(start, problem.place - _SHOWN)
        shown = self.text[first : min(problem.place + _SHOWN, end if end >= 0 else len(self.text))]
        shown = "".join(letter if letter.isprintable() else " " for letter in shown)
        error = problem.kind(f"{self.path}:{line}:{column}: {problem}")
        error.excerpt = f"\n    {shown}\n    {' ' * (problem.place - first)}^"
        return error


def read_source(path: Path) -> Source:
    """Raises `InputError` where there is no such file, or it is no text or too large."""
    data = read_bytes(path, MAX_BYTES, "VNN-LIB file")
    try:
        return Source(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text in UTF-8. Give a VNN-LIB file.") from error
