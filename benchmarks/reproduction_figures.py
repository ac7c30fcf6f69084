"""The figures of docs/reproduction.md: certified against natural accuracy of all rows, and each seed of the rows that
tell what smoothing and an IBP start add."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from reproduction_rows import DEFAULT, RELAXATIONS, Row
from reproduction_table import Record, of_row

from glscert.cli import figure

BELOW = 20  # points under a panel's best: what lies lower is told in words
COLOURS = dict(zip((*RELAXATIONS, "default", "attack"), figure.PALETTE, strict=False))
WORDS = {**RELAXATIONS, "default": "the command's default", "attack": "an attack"}
MARKERS = {"grad": "o", "rgs": "^", "pgpe": "s", "default": "*", "pgd": "X", "sabr": "P", "staps": "d", "mtl-ibp": "p"}
KINDS = (  # from above, the lines of the figure of the seeds
    *("DeepPoly GRAD", "DeepPoly RGS", "IBP GRAD", "IBP, more IBP", "IBP, then DeepPoly GRAD"),
    *("IBP, then DeepPoly RGS", "IBP while eps grows, DeepPoly GRAD", "IBP while eps grows, DeepPoly RGS"),
    *("DeepPoly GRAD, revived", "IBP GRAD, revived", "default"),
)


def draw(folder: Path, rows: Sequence[Row], records: list[Record]) -> None:
    """Both, in place of the former ones; where nothing has been made yet there is none."""
    known = [row for row in rows if of_row(records, row)]
    told = [row for group in panels(row for row in known if row.kind).values() for row in group if len(group) > 1]
    for name, made, of in (("pareto", pareto, known), ("seeds", seeds, told)):
        if of:
            figure.save(made(of, records), folder / f"reproduction-{name}.png")


def panels(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """The rows of each data set, network and eps."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.dataset, row.net, row.eps), []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0][2], len(item[0][1]) < 5, item[0])))


def pareto(rows: Sequence[Row], records: list[Record]) -> Any:
    """A mark at the mean of each row's seeds, with standard deviations; hollow, and tied to it, the paper's."""
    split = panels(rows)
    across = min(2, len(split))
    down = -(-len(split) // across)
    drawn = figure.blank(4.1 * across + 2.4, 3.4 * down + 0.3)
    places = drawn.subplots(down, across, squeeze=False).flatten()
    for axes, (of, group) in zip(places, split.items(), strict=False):
        _points(axes, of, group, records)
    for axes in places[len(split) :]:
        axes.axis("off")
    drawn.legend(handles=_legend(rows), loc="outside right upper", fontsize=8, frameon=False)
    return drawn


def _points(axes: Any, of: tuple[str, str, str], rows: list[Row], records: list[Record]) -> None:
    means = [tuple(mean(values) for values in _shares(row, records)) for row in rows]
    least = max(certified for _, certified in means) - BELOW
    low = []
    for row, (natural, certified) in zip(rows, means, strict=True):
        colour, marker = COLOURS[_colour(row)], MARKERS[_method(row)]
        if certified < least:
            low.append(f"{row.label} {natural:.1f} / {certified:.1f}")
            continue
        across, up = (stdev(values) if len(values) > 1 else 0.0 for values in _shares(row, records))
        how: dict[str, Any] = {
            "edgecolors": colour,
            "linewidths": 1.2,
            "s": 95 if marker == "*" else 42,
            "marker": marker,
            "zorder": 3,
        }
        axes.scatter(natural, certified, facecolors=colour, alpha=0.45 if row.short else 1, **how)
        axes.errorbar(natural, certified, up, across, color=colour, linewidth=0.7, zorder=2)
        if row.start:
            axes.scatter(natural, certified, s=8, color="white", zorder=4)
        if row.paper:
            axes.scatter(*row.paper, facecolors="none", **how)
            ends = zip((natural, certified), row.paper, strict=True)
            axes.plot(*ends, color="gray", linewidth=0.5, linestyle=":", zorder=1)
    axes.margins(0.12)
    dataset, net, eps = of
    figure.plain(axes, f"{dataset}, {net}, eps {eps}", "natural [%]", "certified [%]")
    if low:
        axes.set_xlabel("natural [%]\n" + textwrap.fill("below: " + "; ".join(low), 70), fontsize=8)


def _legend(rows: Sequence[Row]) -> list[Any]:
    """Colours are relaxations, marks are methods, as far as there are such rows."""
    from matplotlib.lines import Line2D

    def entry(label: str, marker: str, colour: str = "black", fill: str | None = None, alpha: float = 1) -> Any:
        how: dict[str, Any] = {
            "markerfacecolor": fill or colour,
            "alpha": alpha,
            "markersize": 9 if marker == "*" else 6,
        }
        return Line2D([], [], linestyle="", marker=marker, color=colour, label=label, **how)

    colours = {_colour(row) for row in rows} - {"default", "attack"}
    methods = {_method(row) for row in rows} - {"default"}
    entries = [entry(WORDS[name], "o", colour) for name, colour in COLOURS.items() if name in colours]
    grey = [name for name in methods if name not in ("grad", "rgs", "pgpe")]
    for name, marker in MARKERS.items():
        if name in methods:
            entries.append(entry(name.upper(), marker, COLOURS["attack"] if name in grey else "black"))
    if any(row.schedule == DEFAULT for row in rows):
        entries.append(entry("default of glscli train", "*", COLOURS["default"]))
    if any(row.start for row in rows):
        start = Line2D([], [], linestyle="", marker="o", color="black", markerfacecolor="white", markeredgewidth=2.2)
        start.set_label("from trained weights")
        entries.append(start)
    if any(row.short for row in rows):
        entries.append(entry("short schedule", "o", "black", alpha=0.45))
    return [*entries, entry("hollow: the paper's", "o", "black", "none")]


def seeds(rows: Sequence[Row], records: list[Record]) -> Any:
    """Certified accuracy of each seed, a line for each kind of row; a bar at the mean, hollow the paper's."""
    split = panels(rows)
    heights = [len({row.kind for row in group}) for group in split.values()]
    drawn = figure.blank(6.6, 0.3 * sum(heights) + 0.75 * len(split) + 0.3)
    places = drawn.subplots(len(split), 1, squeeze=False, height_ratios=[height + 1 for height in heights]).flatten()
    for axes, ((dataset, net, eps), group) in zip(places, split.items(), strict=True):
        kinds = [kind for kind in KINDS if any(row.kind == kind for row in group)]
        for row in group:
            y, (_, certified) = kinds.index(str(row.kind)), _shares(row, records)
            axes.scatter(certified, [y] * len(certified), s=26, color=COLOURS[_colour(row)], alpha=0.7, linewidths=0)
            axes.plot([mean(certified)] * 2, [y - 0.3, y + 0.3], color="black", linewidth=1.2)
            if row.paper:
                axes.scatter(row.paper[1], y, s=34, marker="D", facecolors="none", edgecolors="black", linewidths=0.9)
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set_ylim(len(kinds) - 0.4, -0.6)
        axes.margins(x=0.06)
        figure.plain(axes, f"{dataset}, {net}, eps {eps}", "", "")
    drawn.supxlabel("certified [%]: a dot for each seed, a bar at their mean; hollow: the paper's", fontsize=9)
    return drawn


def _shares(row: Row, records: list[Record]) -> tuple[list[float], list[float]]:
    """Natural and certified accuracy of the row's seeds [%]."""
    found = of_row(records, row)
    natural, certified = ([float(record[name]) for record in found] for name in ("natural", "certified"))
    return natural, certified


def _method(row: Row) -> str:
    return _option(row, "--method") or "default"


def _colour(row: Row) -> str:
    return "default" if row.schedule == DEFAULT else _option(row, "--relaxation") or "attack"


def _option(row: Row, name: str) -> str | None:
    words = row.options.split()
    return words[words.index(name) + 1] if name in words else None
