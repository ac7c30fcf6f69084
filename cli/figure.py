"""Figures as files: PNG or SVG by the name's ending, the same bytes for the same figure, written beside and renamed."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from glscert.verifier.files import replace_file

PALETTE = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:gray")


def colours() -> Iterator[str]:
    """One for each curve, over and over."""
    return itertools.cycle(PALETTE)


def blank(width: float, height: float) -> Any:
    """A figure of so many inches that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Any, title: str, x: str, y: str) -> None:
    """Labels in the size that every figure here has, and no frame above and to the right."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)


def save(figure: Any, path: Path) -> None:
    """Writes `path`, in place of an earlier one only when it is complete. Raises OSError."""
    import matplotlib

    vector = path.suffix.lower() == ".svg"
    metadata = {"Date": None, "Creator": "glscert"} if vector else {"Software": None}
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "glscert"}):  # else ids are drawn at random
        figure.savefig(buffer, format="svg" if vector else "png", dpi=150, metadata=metadata)
    put(path, buffer.getvalue())


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV; None is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def save_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as a CSV file. Raises OSError."""
    put(path, csv_text(columns, rows).encode())


def put(path: Path, content: bytes) -> None:
    """Beside, then renamed: the file is always whole. Raises OSError with the path in it."""
    replace_file(path, lambda file: file.write(content))
