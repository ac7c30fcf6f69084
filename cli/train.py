"""`glscli train`: images or table rows to a run folder with checkpoints."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError

from . import render
from .labels import label_option
from .parse import parse_options, parse_range, parse_ratios
from .threads import share_chunks

if TYPE_CHECKING:
    from glscert.trainer import TrainConfig

BY_DATASET = "by data set"


def command(
    dataset: Annotated[
        str | None, typer.Option(help="digits, mnist, cifar10 or tinyimagenet.", show_default="digits")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Folder with the data set's files; missing ones are downloaded.")
    ] = Path("data"),
    data: Annotated[
        Path | None, typer.Option(help="Your own inputs in place of a data set: .npz (x, y) or .csv.")
    ] = None,
    label: Annotated[str | None, label_option()] = None,
    test_data: Annotated[
        Path | None, typer.Option(help="Test inputs to --data.", show_default="a fifth of the rows")
    ] = None,
    net: Annotated[
        str | None, typer.Option(help="digits, cnn3-tiny, cnn3, cnn5, cnn5-l or mlp.", show_default=BY_DATASET)
    ] = None,
    hidden: Annotated[str | None, typer.Option(help="Widths of mlp's layers.", show_default="64,64")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="grad; rgs: smoothed over the weights; pgpe: likewise, without gradients; pgd, sabr, taps, staps, "
            "mtl-ibp, cc-ibp or exp-ibp: with an attack.",
            show_default="a recipe on mtl-ibp",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="One of the method's own, such as sigma=0.001 for rgs or alpha=0.1 for mtl-ibp; may be repeated.",
            show_default=False,
        ),
    ] = None,
    relaxation: Annotated[
        str | None,
        typer.Option(
            help="ibp, hbox, crown-ibp, deeppoly, deeppoly-ibp or alpha-crown; pgd only measures by it.",
            show_default="by method",
        ),
    ] = None,
    warmup_relaxation: Annotated[
        str | None,
        typer.Option(help="Relaxation of the warm-up, while eps grows.", show_default="--relaxation, recipe: ibp"),
    ] = None,
    eps: Annotated[
        str | None,
        typer.Option(help="Radius in input units, 0.1 or 2/255; or one per entry, 0.1,0,0.2.", show_default=BY_DATASET),
    ] = None,
    eps_file: Annotated[
        Path | None,
        typer.Option(help="Radius of each entry, 0 freezes it: .csv with a column eps (and low, high), or .npz."),
    ] = None,
    range: Annotated[str | None, typer.Option(help="Valid input range low,high or none.", show_default="0,1")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Length of the schedule; warm-ups of --restarts come on top.", show_default=BY_DATASET),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images per step.", show_default=BY_DATASET)] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at the start.", show_default=BY_DATASET)] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.", show_default="0")] = None,
    restarts: Annotated[
        int | None,
        typer.Option(
            help="Warm-ups from other random weights, the best goes on by training loss.",
            show_default="1, recipe: 5",
        ),
    ] = None,
    revive: Annotated[
        float | None,
        typer.Option(
            help="Share of the schedule until which channels that do nothing start anew, as halves of the busiest.",
            show_default="0, recipe: 0.5",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="last epoch, or the best on a tenth of the training images, then held out.", show_default="last"
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Run, or folder with a network, of the same net: begin with its weights.")
    ] = None,
    anneal: Annotated[
        bool | None,
        typer.Option("--anneal/--no-anneal", help="Warm-up: let eps grow.", show_default="on, off with --start"),
    ] = None,
    regulariser: Annotated[
        bool | None,
        typer.Option(
            "--regulariser/--no-regulariser",
            help="Keep boxes small in the warm-up (Shi et al., 2021).",
            show_default="on, off with --start",
        ),
    ] = None,
    memory_budget: Annotated[
        float | None,
        typer.Option(help="MiB a thread may take for the bounds of pgpe's population.", show_default="128, cuda: 4096"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, or cuda:1 for the second GPU.", show_default="cpu")
    ] = None,
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
    actors: Annotated[
        int | None,
        typer.Option(min=2, help="Processes that share pgpe's population, on Ray; on cuda a GPU each."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")] = False,
) -> None:
    """Train a network whose robustness can be proved, and keep it in a run folder.

    Example: glscli train --dataset mnist --net cnn3 --eps 0.1

    Without --method: the recipe that certifies most here. With one, its published schedule: --method rgs

    On several processes or GPUs: torchrun --nproc-per-node 2 --no-python -- glscli train --dataset mnist

    Your own table, one feature frozen: glscli train --data rows.csv --eps 0.1,0,0.05
    """
    options: dict[str, Any] = {"dataset": dataset, "net": net, "method": method, "relaxation": relaxation}
    options |= {"warmup_relaxation": warmup_relaxation, "anneal": anneal, "regulariser": regulariser}
    options |= {"restarts": restarts, "revive": revive, "keep": keep}
    options |= {
        "options": parse_options(option) if option else None,
        "data": _absolute(data),
        "label": label,
        "test_data": _absolute(test_data),
        "hidden": None if hidden is None else hidden.split(","),
        "eps": None if eps is None else parse_ratios(eps),
        "eps_file": _absolute(eps_file),
        "epochs": epochs,
        "batch": batch,
        "lr": lr,
        "seed": seed,
        "start": None if start is None else str(runs_dir / start if (runs_dir / start).is_dir() else start),
        "memory_budget": memory_budget,
        "device": device,
    }
    if range is not None:
        options["low"], options["high"] = parse_range(range)
    given = {name: value for name, value in options.items() if value is not None}
    if resume and (given or config is not None):
        named = ", ".join(f"--{name.replace('_', '-').replace('options', 'option')}" for name in given) or "--config"
        raise InputError(f"--resume continues with the run's own configuration; leave {named} out, or start a new run.")

    from glscert import trainer
    from glscert.trainer.device import named_device
    from glscert.trainer.distributed import joined
    from glscert.verifier.ops import compiled

    from .watch import watch_training

    if resume:
        folder = runs_dir / run if run else trainer.newest_run(runs_dir)
        resolved = trainer.read_config(folder)
    else:
        resolved = trainer.resolve(trainer.read_toml(config) if config else {}, given)
    with joined(resolved.device) as group:
        if not resume:
            folder = runs_dir / group.agree(run or _free_name(runs_dir, resolved))
        workers = share_chunks(threads, resolved.device, processes=group.size)
        together = f" in {group.size} processes" if group.size > 1 else ""
        if group.leads:
            render.logs().print(f"{'resuming' if resume else 'training'} {folder}{together}", markup=False)
            if resolved.label and not resume:
                render.logs().print(render.label_column(resolved.label, Path(str(resolved.data)).name), markup=False)
            if named_device(resolved.device).type == "cpu" and not compiled.enabled():
                render.logs().print(
                    "no C compiler is found, so bounds are taken without a compiled program, several times slower: "
                    "install gcc or clang, or `pip install ziglang`, if there is much to train.",
                    markup=False,
                )
        try:
            with watch_training(resolved) if group.leads else nullcontext(_unheard) as report:
                how: dict[str, Any] = {"data_dir": data_dir, "workers": workers, "actors": actors or 0, "group": group}
                how["report"] = report
                metrics = trainer.resume(folder, **how) if resume else trainer.train(folder, resolved, **how)
        except KeyboardInterrupt:
            if group.leads:
                render.logs().print(f"stopped; to go on: glscli train --resume --run {_as_named(folder)}", markup=False)
            raise
    if group.leads:
        _show(folder, resolved, metrics, as_json)


def _unheard(news: object) -> None:
    """Of the processes that torchrun starts, the first reports."""


def _absolute(path: Path | None) -> str | None:
    """As the run's folder keeps it, for a resume from elsewhere."""
    return None if path is None else str(path.absolute())


def _as_named(folder: Path) -> Path:
    """What --run takes for a run's folder, whatever --runs-dir was."""
    return Path(folder.name) if folder.parent == Path("runs") else folder.absolute()


def _free_name(runs_dir: Path, config: "TrainConfig") -> str:
    """A name that says what is trained, with a number where it is taken."""
    what = Path(config.data).stem if config.data else config.dataset
    name = f"{what}-{config.net}-{config.relaxation}-{config.method}-eps{config.eps:g}-seed{config.seed}"
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
    title = f"test {'rows' if config.data else 'images'}, eps {render.radius(config.eps_columns or config.eps)}"
    render.results().print(render.table(title, columns, [(*row, f"{metrics['seconds']:.0f}")]))
    render.logs().print(
        f"cost: {metrics['images_per_s']:.0f} images/s, {metrics['cpu_seconds']:.0f} s of CPU time in the last epoch, "
        f"{metrics['peak_memory_mib']:.0f} MiB at most; all of it: glscli compare {folder} --cost",
        markup=False,
    )
    render.logs().print(f"next: glscli export model.onnx --run {_as_named(folder)}", markup=False)
    if config.data:
        rows = config.test_data or folder / "test.npz"
        render.logs().print(f"then: glscli verify model.onnx --data {rows}", markup=False)
