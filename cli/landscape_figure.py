"""The figures of `glscli landscape`: a panel for every sigma and population, or one for each toy function."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import figure

if TYPE_CHECKING:
    from glscert.trainer.landscape import Curve

ERRORS = 2  # the shade's half-height, in standard errors


class Line(NamedTuple):
    """A curve of one relaxation, or of a toy; `exact` is the smoothed function where its closed form is known."""

    function: str
    curve: "Curve"
    exact: tuple[float, ...] | None = None


def panels(title: str, lines: Sequence[Line], distances: Sequence[float]) -> Any:
    """The loss itself, then a panel per sigma and population; every curve divided by its value at distance 0."""
    kinds = list(dict.fromkeys((line.curve.sigma, line.curve.population) for line in lines))
    sigmas = list(dict.fromkeys(sigma for sigma, _ in kinds if sigma))
    populations = list(dict.fromkeys(size for sigma, size in kinds if sigma))
    if len(sigmas) == 1 or len(populations) == 1:
        places = {kind: (0, place) for place, kind in enumerate(kinds)}
    else:
        places = {kinds[0]: (0, 0)} | {(s, p): (populations.index(p), 1 + sigmas.index(s)) for s, p in kinds if s}
    height, width = (1 + max(place) for place in zip(*places.values(), strict=True))
    drawn = figure.blank(1.2 + 2.5 * width, 0.7 + 2.3 * height)
    drawn.suptitle(title, fontsize=10)
    colours = dict(zip(dict.fromkeys(line.function for line in lines), figure.colours(), strict=False))
    first: Any = None
    for kind, (row, column) in places.items():
        axes = drawn.add_subplot(height, width, row * width + column + 1, sharey=first)
        first = first or axes
        for line in lines:
            if (line.curve.sigma, line.curve.population) == kind:
                _curve(axes, line.curve, distances, colours[line.function], line.function)
        name = "original" if not kind[0] else f"σ = {kind[0]:g}, population {kind[1]}"
        figure.plain(axes, name, "distance along the gradient", "loss / loss at 0" if column == (row > 0) else "")
        axes.title.set_fontsize(9)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
        axes.xaxis.get_offset_text().set_fontsize(7)
    first.legend(fontsize=8, frameon=False)
    return drawn


def _curve(axes: Any, curve: "Curve", distances: Sequence[float], colour: str, label: str) -> None:
    scale = curve.loss[len(curve.loss) // 2]
    axes.plot(distances, [loss / scale for loss in curve.loss], color=colour, linewidth=1.2, label=label)
    if curve.sigma:
        low, high = _band(curve)
        shade = ([loss / scale for loss in low], [loss / scale for loss in high])
        axes.fill_between(distances, *shade, color=colour, alpha=0.2, linewidth=0)


def _band(curve: "Curve") -> Iterable[list[float]]:
    pairs = list(zip(curve.loss, curve.error, strict=True))
    return [loss - ERRORS * error for loss, error in pairs], [loss + ERRORS * error for loss, error in pairs]


def toys(title: str, lines: Sequence[Line], distances: Sequence[float]) -> Any:
    """A panel per function: itself, and for each sigma the closed form with the estimate's shade around it."""
    functions = list(dict.fromkeys(line.function for line in lines))
    drawn = figure.blank(0.6 + 3.4 * len(functions), 3.2)
    drawn.suptitle(title, fontsize=10)
    for place, function in enumerate(functions):
        axes = drawn.add_subplot(1, len(functions), place + 1)
        smooth = [line for line in lines if line.function == function]
        axes.plot(distances, smooth.pop(0).curve.loss, color="black", linewidth=1.2, label="original")
        colours = dict(zip(dict.fromkeys(line.curve.sigma for line in smooth), figure.colours(), strict=False))
        for line in smooth:
            colour = colours[line.curve.sigma]
            axes.fill_between(distances, *_band(line.curve), color=colour, alpha=0.2, linewidth=0)
        for sigma, colour in colours.items():
            exact = next(line.exact for line in smooth if line.curve.sigma == sigma)
            axes.plot(distances, exact, color=colour, linewidth=1.2, label=f"σ = {sigma:g}")
        figure.plain(axes, function, "w", "loss" if place == 0 else "")
        axes.legend(fontsize=8, frameon=False)
    return drawn
