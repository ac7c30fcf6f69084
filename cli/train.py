"""`glscli train`: images to a run folder with checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError

from . import render
from .parse import parse_ratio
from .threads import share_chunks

if TYPE_CHECKING:
    from glscert.trainer import TrainConfig

BY_DATASET = "by data set"


def command(
    dataset: Annotated[str | None, typer.Option(help="digits, mnist or cifar10.", show_default="digits")] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Folder with the data set's files; missing ones are downloaded.")
    ] = Path("data"),
    net: Annotated[
        str | None, typer.Option(help="digits, cnn3-tiny, cnn3, cnn5 or cnn5-l.", show_default=BY_DATASET)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="grad; rgs: smoothed over the weights; pgd, sabr, taps, staps, mtl-ibp, cc-ibp or exp-ibp: with an "
            "attack.",
            show_default="rgs",
        ),
    ] = None,
    relaxation: Annotated[
        str | None, typer.Option(help="ibp, crown-ibp or deeppoly; pgd only measures by it.", show_default="by method")
    ] = None,
    eps: Annotated[
        str | None, typer.Option(help="Radius in raw pixels, 0.1 or 2/255.", show_default=BY_DATASET)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Length of the whole schedule.", show_default=BY_DATASET)] = None,
    batch: Annotated[int | None, typer.Option(help="Images per step.", show_default=BY_DATASET)] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at the start.", show_default=BY_DATASET)] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.", show_default="0")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.", show_default="cpu")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of these, and more; options here win over it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue --run, or the newest run, from its last checkpoint.")
    ] = False,
    run: Annotated[
        str | None, typer.Option(help="Name of the run's folder.", show_default="made from the options")
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; the weights do not depend on them.", show_default="all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")] = False,
) -> None:
    """Train a network whose robustness can be proved, and keep it in a run folder.

    Example: glscli train --dataset mnist --net cnn3 --method rgs --relaxation deeppoly --eps 0.1 --epochs 20
    """
    options: dict[str, Any] = {"dataset": dataset, "net": net, "method": method, "relaxation": relaxation}
    options |= {
        "eps": None if eps is None else parse_ratio(eps),
        "epochs": epochs,
        "batch": batch,
        "lr": lr,
        "seed": seed,
        "device": device,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if resume and (given or config is not None):
        named = ", ".join(f"--{name}" for name in given) or "--config"
        raise InputError(f"--resume continues with the run's own configuration; leave {named} out, or start a new run.")

    from glscert import trainer

    from .watch import watch_training

    if resume:
        folder = runs_dir / run if run else trainer.newest_run(runs_dir)
        resolved = trainer.read_config(folder)
    else:
        resolved = trainer.resolve(trainer.read_toml(config) if config else {}, given)
        folder = runs_dir / (run or _free_name(runs_dir, resolved))
    workers = share_chunks(threads, resolved.device)
    render.logs().print(f"{'resuming' if resume else 'training'} {folder}", markup=False)
    try:
        with watch_training(resolved) as report:
            if resume:
                metrics = trainer.resume(folder, data_dir=data_dir, workers=workers, report=report)
            else:
                metrics = trainer.train(folder, resolved, data_dir=data_dir, workers=workers, report=report)
    except KeyboardInterrupt:
        render.logs().print(f"stopped; to go on: glscli train --resume --runs-dir {runs_dir} --run {folder.name}")
        raise
    _show(folder, resolved, metrics, as_json)


def _free_name(runs_dir: Path, config: "TrainConfig") -> str:
    """A name that says what is trained, with a number where it is taken."""
    name = f"{config.dataset}-{config.net}-{config.relaxation}-{config.method}-eps{config.eps:g}-seed{config.seed}"
    number = 1
    while (runs_dir / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return name if number == 1 else f"{name}-{number}"


def _show(folder: Path, config: "TrainConfig", metrics: dict[str, Any], as_json: bool) -> None:
    if as_json:
        render.print_json({"schema": "glscert/train/1", "run": str(folder), **config.model_dump(), "result": metrics})
        return
    row = (str(folder), f"{100 * metrics['natural']:.2f} %", f"{100 * metrics['certified']:.2f} %")
    columns = ("run", "natural", f"certified ({config.eval_relaxation or config.relaxation})", "train seconds")
    title = f"test images, eps {config.eps:g}"
    render.results().print(render.table(title, columns, [(*row, f"{metrics['seconds']:.0f}")]))
    render.logs().print(f"next: glscli export model.onnx --run {folder.name}", markup=False)
