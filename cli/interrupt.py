"""Ctrl-C: what is known is kept and told."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import render

CODE = 130


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits outside: an object half printed or a file half written helps nobody."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)


def say_how_to_go_on(decided: int, count: int, what: str, out: Path | None, certificate: Path | None) -> None:
    """decided of so many inputs or properties, as a record in the file `out` has them; certificate: not written."""
    where = f", kept in {out}; the same command goes on from there" if out else "; --out keeps them"
    render.logs().print(f"stopped: {decided} of {count} {what} decided{where}.", markup=False)
    if certificate is not None:
        render.logs().print(f"{certificate} is not written: a certificate is of a run that ended.", markup=False)
