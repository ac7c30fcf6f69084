"""A picture of a few images with their verdicts; below a falsified one, the counterexample that was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import figure as figures

COLOURS = {"verified": "tab:green", "falsified": "tab:red", "misclassified": "tab:orange", "unknown": "tab:gray"}


class Shown(NamedTuple):
    """One image [C, H, W] in [0, 1], what was decided, and for `falsified` the counterexample and its class."""

    image: np.ndarray
    label: int
    verdict: str
    counterexample: np.ndarray | None = None
    answer: int | None = None  # the network's answer to the counterexample, or to a misclassified image


def choose(verdicts: Sequence[str], count: int) -> list[int]:
    """Indices of `count` images, the verdicts taken in turn and grouped, so that rare ones are seen too."""
    waiting = {verdict: [i for i, v in enumerate(verdicts) if v == verdict] for verdict in COLOURS}
    taken: dict[str, list[int]] = {verdict: [] for verdict in COLOURS}
    while sum(map(len, taken.values())) < min(count, len(verdicts)) and any(waiting.values()):
        for verdict, indices in waiting.items():
            if indices and sum(map(len, taken.values())) < count:
                taken[verdict].append(indices.pop(0))
    return [i for indices in taken.values() for i in indices]


def draw(path: Path, shown: Sequence[Shown], title: str) -> None:
    """Writes a PNG to `path`, in place of an earlier one only when it is complete."""
    figure = figures.blank(1.25 * len(shown), 3.4)
    figure.suptitle(title, fontsize=10)
    for place, one in enumerate(shown):
        colour = COLOURS.get(one.verdict, "black")
        above = figure.add_subplot(2, len(shown), place + 1)
        _image(above, one.image, colour)
        answered = f", read as {one.answer}" if one.verdict == "misclassified" and one.answer is not None else ""
        above.set_title(f"{one.verdict}\n{one.label}{answered}", fontsize=8, color=colour)
        if one.counterexample is not None:
            below = figure.add_subplot(2, len(shown), len(shown) + place + 1)
            _image(below, one.counterexample, colour)
            below.set_title(f"read as {one.answer}", fontsize=8, color=colour)
    figures.save(figure, path)


def _image(axes, pixels: np.ndarray, colour: str) -> None:  # type: ignore[no-untyped-def]  # matplotlib has few types
    axes.imshow(np.moveaxis(pixels, 0, -1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(colour)
        side.set_linewidth(2)
