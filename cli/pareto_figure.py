"""The figure of `glscli compare`: certified against natural accuracy, and the runs that no other beats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import figure

if TYPE_CHECKING:
    from glscert.trainer.comparison import Entry

TELLING = ("net", "method", "relaxation", "eps", "epochs", "seed")  # of a row, what may tell two runs apart
WORDS = {"eps": "eps {:.4g}", "epochs": "{} epochs", "seed": "seed {}"}


def pareto(entries: "Sequence[Entry]", rows: Sequence[Mapping[str, Any]]) -> Any:
    """A dot for each run; dotted, the front of those with the same eps. `rows` are the table's, in the same order."""
    drawn = figure.blank(6.6, 3.8)
    axes = drawn.add_subplot()
    for eps in sorted({entry.config.eps for entry in entries}):
        same = [(e, row) for e, row in zip(entries, rows, strict=True) if e.config.eps == eps and row["pareto"]]
        corners = sorted((100 * entry.natural, 100 * entry.proved) for entry, _ in same)
        axes.step(*zip(*corners, strict=True), where="pre", color="black", linewidth=0.8, linestyle=":", zorder=1)
    for entry, label, colour in zip(entries, _labels(rows), figure.colours(), strict=False):
        fill = "none" if entry.verified is None else colour
        place = (100 * entry.natural, 100 * entry.proved)
        axes.scatter(*place, s=42, edgecolors=colour, facecolors=fill, label=label, linewidths=1.5)
    axes.margins(0.12)
    drawn.legend(loc="outside right upper", fontsize=8, frameon=False)
    what = "filled: by glscli verify; hollow: by the run's own relaxation"
    figure.plain(axes, f"{entries[0].source}\n{what}", "natural [%]", "certified [%]")
    axes.title.set_fontsize(8)
    return drawn


def _labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells the runs apart, in as few words as do; their names where nothing else does."""
    differing = [name for name in TELLING if len({row[name] for row in rows}) > 1]
    labels = [" ".join(WORDS.get(name, "{}").format(row[name]) for name in differing) for row in rows]
    distinct = len(set(labels)) == len(labels) and labels[0]
    return labels if distinct else [Path(row["run"]).name for row in rows]
