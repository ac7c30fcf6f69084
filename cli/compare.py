"""`glscli compare`: runs side by side, and what they cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError

from . import figure, pareto_figure, render
from .runs import check_output, find_run

if TYPE_CHECKING:
    from glscert.trainer.comparison import Entry


def command(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Names or paths of runs' folders.", show_default="all of them")
    ] = None,
    verified: Annotated[
        list[str] | None,
        typer.Option(
            help="RUN=FILE.json: what glscli verify --out wrote about a run's network; may be repeated.",
            show_default="a report in the run's own folder, if any",
        ),
    ] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Show what the runs cost instead of what they reach.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File for certified against natural accuracy: .png, .svg or .csv.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Compare runs on one data set: accuracies, Pareto front, or with --cost time, core-hours and memory.

    Certified accuracy is that of the relaxation a run was evaluated with, and of glscli verify where there is a report.

    Example: glscli compare first second --verified first=results.json --out pareto.png
    """
    check_output(out, (".png", ".svg", ".csv"))

    from glscert.trainer.comparison import on_front, read_entries
    from glscert.trainer.cost import cost as cost_of

    entries = read_entries(_folders(runs, runs_dir), _reports(verified or []))
    best = on_front(entries)
    rows = [_as_json(entry, i in best) for i, entry in enumerate(entries)]
    if out is not None:
        if out.suffix.lower() == ".csv":
            figure.save_csv(out, list(rows[0]), [list(row.values()) for row in rows])
        else:
            figure.save(pareto_figure.pareto(entries, rows), out)
    if as_json:
        costs = [cost_of(entry.config, entry.epochs)._asdict() for entry in entries] if cost else [None] * len(rows)
        found = [row | ({} if spent is None else {"cost": spent}) for row, spent in zip(rows, costs, strict=True)]
        render.print_json({"schema": "glscert/compare/1", "dataset": entries[0].source, "runs": found})
        return
    if cost:
        _show_cost(entries)
    else:
        _show(entries, rows)


def _folders(runs: Sequence[str] | None, runs_dir: Path) -> list[Path]:
    if runs:
        return [find_run(name, runs_dir) for name in runs]
    found = sorted(path.parent for path in runs_dir.glob("*/config.json"))
    if not found:
        raise InputError(f"there is no training run in {runs_dir}; train first: glscli train.")
    return found


def _reports(given: Sequence[str]) -> dict[str, Path]:
    reports = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise InputError(f"--verified {text} is not RUN=FILE.json, a run's name and its report.")
        reports[Path(name).name] = Path(path)
    return reports


def _as_json(entry: "Entry", on_front: bool) -> dict[str, Any]:
    config, found, idle = entry.config, entry.verified, entry.idle_channels
    return {
        "run": str(entry.run),
        "net": config.net,
        "method": config.method,
        "relaxation": config.relaxation,
        "eps": config.eps,
        "epochs": len(entry.epochs),
        "epochs_planned": config.total_epochs,
        "seed": config.seed,
        "natural": entry.natural,
        "certified": entry.certified,
        "certified_by": entry.evaluated_by,
        "images": config.eval_images,
        "verified": None if found is None else found.certified,
        "verified_natural": None if found is None else found.natural,
        "verified_images": None if found is None else found.images,
        "report": None if found is None else str(found.path),
        "seconds": entry.epochs[-1]["seconds"],
        "dead_channels": None if idle is None else idle[0],
        "active_channels": None if idle is None else idle[1],
        "channels": None if idle is None else idle[2],
        "pareto": on_front,
    }


def _show(entries: "Sequence[Entry]", rows: Sequence[dict[str, Any]]) -> None:
    columns = ("run", "net", "method", "relaxation", "eps", "epochs", "seed", "natural", "certified", "by", "verified")
    cells = []
    for entry, row in zip(entries, rows, strict=True):
        done, planned = row["epochs"], row["epochs_planned"]
        epochs = f"{done}" if done == planned else f"{done}/{planned}"
        settings = (row["net"], row["method"], row["relaxation"], f"{row['eps']:.4g}", epochs, row["seed"])
        found = "-" if entry.verified is None else f"{_percent(row['verified'])} of {row['verified_images']}"
        accuracies = (_percent(row["natural"]), _percent(row["certified"]), row["certified_by"], found)
        star = " *" if row["pareto"] else ""
        idle = (
            "-" if row["channels"] is None else f"{row['dead_channels']}/{row['active_channels']} of {row['channels']}"
        )
        cells.append((entry.run.name + star, *settings, *accuracies, idle, f"{row['seconds']:.0f}"))
    title = (
        f"{entries[0].source}, test images; * no other run is as good in both natural and certified; dead/on: channels "
        "that are 0 on all training images looked at, or always active"
    )
    render.results().print(render.table(title, (*columns, "dead/on", "seconds"), cells))
    for entry in entries:
        if entry.verified is not None and abs(entry.verified.natural - entry.natural) > 0.01:
            render.logs().print(
                f"{entry.verified.path} finds a natural accuracy of {_percent(entry.verified.natural)} %, the run "
                f"{entry.run.name} one of {_percent(entry.natural)} %: of another checkpoint, or of other images?",
                markup=False,
            )


def _show_cost(entries: "Sequence[Entry]") -> None:
    from glscert.trainer.cost import cost as cost_of

    columns = ("run", "net", "method", "workers", "images/s", "s/epoch", "+ test s", "core-h/epoch", "peak MiB")
    cells = []
    machines: dict[str, None] = {}
    for entry in entries:
        spent = cost_of(entry.config, entry.epochs)
        machines[spent.machine] = None
        cells.append(
            (
                entry.run.name,
                spent.net,
                f"{spent.relaxation} {spent.method}",
                spent.workers,
                f"{spent.images_per_s:.0f}",
                f"{spent.seconds_per_epoch:.1f}",
                f"{spent.evaluation_seconds_per_epoch:.1f}",
                f"{spent.core_hours_per_epoch:.4f}",
                f"{spent.peak_memory_mib:.0f}",
                f"{spent.epochs_done}/{spent.epochs}",
                f"{spent.seconds_whole / 3600:.3g}",
                f"{spent.core_hours_whole:.3g}",
            )
        )
    title = f"{entries[0].source} on {', '.join(machines)}; the whole schedule is projected from the last epoch"
    render.results().print(render.table(title, (*columns, "epochs", "whole h", "whole core-h"), cells))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
