"""Tables that the benchmarks keep up to date in the documentation."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from glscert.verifier.files import replace_file


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> list[str]:
    """A Markdown table, its first `left` columns flush left, the others right."""
    line = "|" + "---|" * left + "--:|" * (len(columns) - left)
    return [f"| {' | '.join(columns)} |", line, *(f"| {' | '.join(row)} |" for row in rows)]


def put(path: Path, name: str, title: str, section: str) -> None:
    """Writes the section between its two marks in the file, or a new file around it; beside first, then in place."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, after = f"{title}\n\n", "\n"
    if path.exists():
        before, found, rest = path.read_text(encoding="utf-8").partition(begin)
        after = rest.partition(end)[2]
        if not found or not rest.partition(end)[1]:
            sys.exit(f"{path} has no section between {begin} and {end}; add the two lines where it should stand.")
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    intro = f"Made by `{command}`; what is measured stands at the top of that file."
    text = f"{before}{begin}\n{intro}\n{section}{end}{after}"
    replace_file(path, lambda file: file.write(text.encode()))
