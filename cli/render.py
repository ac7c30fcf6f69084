"""What the terminal shows: results on stdout, everything else on stderr.

Colours follow the terminal and NO_COLOR (rich honours it). Without a terminal there are no moving bars: a line of
progress now and then, so that a log stays readable.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

SECONDS_BETWEEN_LINES = 10.0


def results() -> Console:
    """stdout, for what the user asked for. Tables are never cut to 80 columns because a pipe has no width."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def logs() -> Console:
    """stderr, for progress and remarks."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """The first column to the left, numbers to the right."""
    built = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        built.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        built.add_row(*(str(cell) for cell in row))
    return built


def norm(name: str) -> str:
    """linf, l2, l1 as one reads them."""
    return name.replace("inf", "∞")


def radius(eps: Any) -> str:
    """A radius, or the span of those of the entries: 0.1, or 0…0.2 by entry."""
    import numpy as np

    least, most = f"{np.min(eps):g}", f"{np.max(eps):g}"
    return least if np.ndim(eps) == 0 else f"{least}…{most} by entry"


def label_column(label: str, source: str) -> str:
    """Which column of a table was taken for the labels."""
    where = f"the {label} column" if label in ("first", "last") else f"the column {label!r}"
    return f"labels: {where} of {source}; --label takes another."


def print_json(value: Any) -> None:
    """One object on stdout, as strict JSON: no NaN, no colours."""
    import typer

    typer.echo(json.dumps(value, allow_nan=False))


class Step(Protocol):
    """Called as work gets done: `amount` more of the total, `remark` shown beside the bar."""

    def __call__(self, amount: float = 1, remark: str = "") -> None: ...


@contextmanager
def progress(label: str, total: float) -> Iterator[Step]:
    """A bar with time left on a terminal, else a line every ten seconds; always on stderr."""
    console = logs()
    with _bar(console, label, total) if console.is_terminal else _lines(console, label, total) as step:
        yield step


@contextmanager
def _bar(console: Console, label: str, total: float) -> Iterator[Step]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, remark="")

        def step(amount: float = 1, remark: str = "") -> None:
            bar.update(task, advance=amount)
            if remark:
                bar.update(task, remark=remark)

        yield step


@contextmanager
def _lines(console: Console, label: str, total: float) -> Iterator[Step]:
    start = shown = time.monotonic()
    done = 0.0

    def step(amount: float = 1, remark: str = "") -> None:
        nonlocal done, shown
        done += amount
        now = time.monotonic()
        if now - shown >= SECONDS_BETWEEN_LINES or done >= total:
            shown = now
            left = (now - start) / done * (total - done) if done else 0.0
            console.print(f"{label} {100 * done / total:.0f}%, {left:.0f} s left {remark}".rstrip(), markup=False)

    yield step
