"""`glscli landscape`: the loss along a direction in weight space, as it is and smoothed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError

from . import figure, landscape_figure, render
from .landscape_figure import Line
from .parse import parse_names, parse_numbers
from .runs import check_output, find_run
from .threads import share_chunks

if TYPE_CHECKING:
    from glscert.trainer.evaluation import Params
    from glscert.trainer.setup import Setup

WIDTHS = 10  # of the largest sigma, to either side
COLUMNS = ("function", "sigma", "population", "distance", "loss", "standard_error", "exact")


def command(
    run: Annotated[
        str | None, typer.Argument(help="Name or path of a run's folder.", show_default="the newest")
    ] = None,
    sigma: Annotated[
        str | None, typer.Option(help="Standard deviations of the noise.", show_default="1e-5,1e-4,1e-3")
    ] = None,
    population: Annotated[str, typer.Option(help="How many noisy copies of the weights; even numbers from 4.")] = "32",
    relaxations: Annotated[str, typer.Option(help="Relaxations whose loss to draw.")] = "ibp,crown-ibp,deeppoly",
    distance: Annotated[
        float | None, typer.Option(help="How far to go either way.", show_default="10 times the largest sigma")
    ] = None,
    points: Annotated[int, typer.Option(min=3, help="Points on a curve; an odd number has 0 among them.")] = 41,
    images: Annotated[int, typer.Option(min=1, help="Training images in the loss, from the first.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Decides the noise.")] = 0,
    toy: Annotated[bool, typer.Option("--toy", help="The paper's two toy functions instead of a run.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the points as CSV on stdout.")] = False,
    out: Annotated[Path | None, typer.Option(help="File for the figure: .png or .svg, or .csv.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    data_dir: Annotated[Path, typer.Option(help="Folder with the data set.")] = Path("data"),
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", show_default="all")] = None,
) -> None:
    """Draw the robust loss of a trained network along DeepPoly's gradient, and what Gaussian noise makes of it.

    The direction has length 1, and positive distances are uphill. A population of n is n/2 pairs of opposite noise, new
    for every point; the shade is twice the standard error. In the figure each curve is divided by its value at 0.

    Example: glscli landscape --sigma 1e-5,1e-4,1e-3 --population 32,128 --out landscape.svg
    """
    check_output(out, (".png", ".svg", ".csv"))
    if out is None and not csv:
        raise InputError("nothing to write: give --out FILE.svg (or .png, .csv), or --csv for stdout.")
    sigmas = parse_numbers(sigma or ("0.25,0.5,1" if toy else "1e-5,1e-4,1e-3"), "--sigma")
    populations = [int(size) if size == int(size) else 0 for size in parse_numbers(population, "--population")]
    reach = distance if distance is not None else 2.5 if toy else WIDTHS * max(sigmas)
    if not 0 < reach < float("inf"):
        raise InputError(f"--distance {reach} must be positive and finite.")
    if any(size < 4 or size % 2 for size in populations):
        raise InputError(f"--population {population}: noise comes in pairs; give even numbers from 4 up.")
    if points % 2 == 0:
        raise InputError(f"--points {points}: give an odd number, so that 0 is among them.")
    distances = [reach * (2 * i / (points - 1) - 1) for i in range(points)]
    if toy:
        title, lines = "Toy functions of one weight", _of_toys(sigmas, populations, distances, seed)
    else:
        from glscert.trainer import load_trained
        from glscert.verifier.bounds import RELAXATIONS

        names = parse_names(relaxations, RELAXATIONS, "--relaxations")
        folder = find_run(run, runs_dir)
        setup, params = load_trained(folder, data_dir)
        grid = (sigmas, populations, distances)
        lines = _of_run(setup, params, names, *grid, images=images, seed=seed, threads=threads)
        title = f"{folder.name}, eps {setup.config.eps:.4g}, {min(images, len(setup.train_x))} training images"
    rows = _rows(lines, distances)
    if out is not None:
        if out.suffix.lower() == ".csv":
            figure.save_csv(out, COLUMNS, rows)
        else:
            drawn = landscape_figure.toys if toy else landscape_figure.panels
            figure.save(drawn(title, lines, distances), out)
    if csv:
        typer.echo(figure.csv_text(COLUMNS, rows), nl=False)


def _of_toys(sigmas: list[float], populations: list[int], distances: list[float], seed: int) -> list[Line]:
    import torch

    from glscert.trainer.landscape import original, smoothed
    from glscert.trainer.toy import TOYS

    origin, direction = ({"w": torch.tensor(value, dtype=torch.float64)} for value in (0.0, 1.0))
    places = torch.tensor(distances, dtype=torch.float64)
    lines = []
    for name, toy in TOYS.items():

        def losses(stack: dict[str, Any], toy: Any = toy) -> Any:
            return toy(stack["w"])

        lines.append(Line(name, original(losses, origin, direction, distances)))
        for sigma in sigmas:
            exact = tuple(toy.smoothed(places, sigma).tolist())
            found = smoothed(losses, origin, direction, distances, sigma, populations, seed)
            lines += [Line(name, curve, exact) for curve in found]
    return lines


def _of_run(
    setup: "Setup",
    params: "Params",
    names: list[str],
    sigmas: list[float],
    populations: list[int],
    distances: list[float],
    *,
    images: int,
    seed: int,
    threads: int | None,
) -> list[Line]:
    from concurrent.futures import ThreadPoolExecutor

    from glscert.trainer.landscape import batch_losses, gradient_direction, original, robust, smoothed
    from glscert.trainer.population import Batch

    config = setup.config
    batch = Batch(setup.train_x[:images], setup.train_y[:images], config.eps)
    lines = []
    with (
        ThreadPoolExecutor(share_chunks(threads, config.device)) as pool,
        render.progress("landscape", len(names) * len(sigmas) * len(distances)) as step,
    ):
        direction = gradient_direction(robust(setup.objective, "deeppoly"), params, batch, chunk=setup.chunk, pool=pool)
        for name in names:
            losses = batch_losses(setup, robust(setup.objective, name), params, batch, pool)
            lines.append(Line(name, original(losses, params, direction, distances)))
            for sigma in sigmas:
                found = smoothed(losses, params, direction, distances, sigma, populations, seed, step)
                lines += [Line(name, curve) for curve in found]
    return lines


def _rows(lines: Sequence[Line], distances: Sequence[float]) -> list[tuple[object, ...]]:
    return [
        (line.function, line.curve.sigma, line.curve.population, *point)
        for line in lines
        for point in zip(
            distances, line.curve.loss, line.curve.error, line.exact or [None] * len(distances), strict=True
        )
    ]
