"""`glscli tightness`: how tight each relaxation is on a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glscert.verifier.errors import InputError

from . import render
from .parse import parse_names, parse_ratio, parse_slice
from .runs import check_output, find_run
from .threads import share_chunks

if TYPE_CHECKING:
    from glscert.trainer.tightness import Curve


def command(
    run: Annotated[
        str | None, typer.Argument(help="Name or path of a run's folder.", show_default="the newest")
    ] = None,
    relaxations: Annotated[
        str | None, typer.Option(help="Names, such as ibp,deeppoly.", show_default="all of them")
    ] = None,
    images: Annotated[str, typer.Option(help="Which test images, as first:last (last left out).")] = "0:500",
    points: Annotated[int, typer.Option(min=2, help="Radii on each curve, evenly spaced from 0.")] = 41,
    max_eps: Annotated[
        str | None, typer.Option(help="Largest radius.", show_default="where a relaxation proves nothing any more")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the curves: .png, .svg or .csv.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    data_dir: Annotated[Path, typer.Option(help="Folder with the data set.")] = Path("data"),
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", show_default="all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Measure how tight the relaxations are on a trained network.

    Tightness is the area under certified accuracy over eps, in per cent times eps (Jovanovic et al., 2022; Balauca et
    al., 2025): 100 times the mean radius that a relaxation certifies.

    Example: glscli tightness --images 0:500 --out tightness.svg
    """
    check_output(out, (".png", ".svg", ".csv"))
    largest = None if max_eps is None else parse_ratio(max_eps, "--max-eps")
    if largest is not None and not 0 < largest <= 1:
        raise InputError(f"--max-eps {max_eps} must be above 0 and at most 1, the range of a pixel.")

    from concurrent.futures import ThreadPoolExecutor

    from glscert.trainer import load_trained
    from glscert.trainer.tightness import Certifier, grid
    from glscert.verifier.bounds import RELAXATIONS

    names = parse_names(relaxations, RELAXATIONS, "--relaxations")
    folder = find_run(run, runs_dir)
    setup, params = load_trained(folder, data_dir)
    config = setup.config
    first, last = parse_slice(images, len(setup.test_x))
    with (
        ThreadPoolExecutor(share_chunks(threads, config.device)) as pool,
        render.progress(f"tightness of {len(names)} relaxations", len(names) * points) as step,
    ):
        x, y = setup.test_x[first:last], setup.test_y[first:last]
        certifier = Certifier(setup.objective, params, x, y, chunk=setup.chunk, pool=pool)
        curves = []
        for name in names:
            reach = largest or certifier.reach(name, (config.eps or 0.1) / 16)
            curves.append(certifier.curve(name, grid(reach, points), step))
    title = f"{folder.name}, {last - first} test images"
    if out is not None:
        _write(out, curves, title, config.eps)
    if as_json:
        render.print_json(
            {
                "schema": "glscert/tightness/1",
                "run": str(folder),
                "images": {"split": "test", "first": first, "last": last},
                "unit": "per cent times eps",
                "relaxations": [{**curve._asdict(), "tightness": curve.area} for curve in curves],
            }
        )
        return
    columns = ("relaxation", "tightness (% · eps)", "mean certified radius", "proves none from eps")
    rows = [(c.relaxation, f"{c.area:.3f}", f"{c.area / 100:.5f}", _end(c)) for c in curves]
    render.results().print(render.table(title, columns, rows))


def _end(curve: "Curve") -> str:
    return f"{curve.radii[-1]:g}" if curve.certified[-1] == 0 else f"beyond {curve.radii[-1]:g}"


def _write(out: Path, curves: "list[Curve]", title: str, eps: float) -> None:
    from . import figure

    if out.suffix.lower() == ".csv":
        points = [
            (c.relaxation, radius, share) for c in curves for radius, share in zip(c.radii, c.certified, strict=True)
        ]
        figure.save_csv(out, ("relaxation", "eps", "certified"), points)
        return
    drawn = figure.blank(5.2, 3.4)
    axes = drawn.add_subplot()
    for curve, colour in zip(curves, figure.colours(), strict=False):
        shares = [100 * share for share in curve.certified]
        axes.plot(curve.radii, shares, color=colour, linewidth=1.5, label=f"{curve.relaxation}: {curve.area:.2f}")
        axes.fill_between(curve.radii, shares, color=colour, alpha=0.08, linewidth=0)
    axes.axvline(eps, color="black", linewidth=0.8, linestyle=":", label=f"trained at {eps:.4g}")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 100)
    axes.legend(fontsize=8, frameon=False, title="tightness (% · eps)", title_fontsize=8)
    figure.plain(axes, title, "eps", "certified [%]")
    figure.save(drawn, out)
