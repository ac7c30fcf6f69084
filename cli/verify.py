"""`glscli verify`: an ONNX file and labelled inputs, or a property in VNN-LIB, to verdicts."""

from pathlib import Path
from typing import Annotated

import typer

from glscert.verifier.errors import InputError

from .labelled import Request
from .labels import label_option
from .output import Output
from .robustness import run

DATA, QUERY, STANDARD = "Labelled inputs", "Properties in VNN-LIB", "VNN-LIB's standard command line"


def command(
    model: Annotated[
        Path, typer.Argument(help="ONNX file (.onnx or .onnx.gz); or a query (.vnnlib, .vnnlib.gz) with --network.")
    ],
    eps: Annotated[
        str | None,
        typer.Option(
            help="Radius in input units, 0.1 or 2/255; or one per entry, 0.1,0,0.2, where 0 freezes it.",
            show_default="the model's own",
            rich_help_panel=DATA,
        ),
    ] = None,
    eps_file: Annotated[
        Path | None,
        typer.Option(
            help="Radius of each entry, 0 freezes it: .csv with a column eps (and low, high), or .npz.",
            rich_help_panel=DATA,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled inputs, .npz (x, y) or .csv, or a data set: mnist, cifar10, tinyimagenet, digits.",
            show_default="the model's data set",
            rich_help_panel=DATA,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the data set that the model names.", show_default="data", rich_help_panel=DATA),
    ] = None,
    label: Annotated[str | None, label_option(DATA)] = None,
    images: Annotated[
        str | None,
        typer.Option(help="Which inputs, as first:last (last left out).", show_default="all", rich_help_panel=DATA),
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(
            metavar="inf|2|1",
            help="What eps is measured in: the largest change of an entry, the root of the sum of squares, the sum.",
            show_default="the model's own, else inf",
            rich_help_panel=DATA,
        ),
    ] = None,
    range: Annotated[
        str | None,
        typer.Option(
            help="Valid input range low,high or none.", show_default="the model's own, else 0,1", rich_help_panel=DATA
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Of a single output: class 1 above it, class 0 below.",
            show_default="0.5 behind a last Sigmoid, else 0",
            rich_help_panel=DATA,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Outputs are numbers: how far each may move from what it is at the input; labels are numbers or none.",
            rich_help_panel=DATA,
        ),
    ] = None,
    min_certified: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Policy: exit 0 if certified accuracy is at least this, else 1.",
            rich_help_panel=DATA,
        ),
    ] = None,
    vnnlib: Annotated[
        Path | None,
        typer.Option(help="A property (.vnnlib, .vnnlib.gz), or a folder of them.", rich_help_panel=QUERY),
    ] = None,
    result_file: Annotated[
        Path | None,
        typer.Option(help="Where to write the answer in VNN-COMP's format, with a witness.", rich_help_panel=QUERY),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="The ONNX file of the query's network.", rich_help_panel=STANDARD),
    ] = None,
    serialise_assignments: Annotated[
        Path | None,
        typer.Option(help="Folder for a witness as ONNX tensors, NAME.pb.", rich_help_panel=STANDARD),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds per input or property, its share of the work; of a single property, of the process."
        ),
    ] = 60.0,
    out: Annotated[
        Path | None, typer.Option(help="File .json to keep results in; a stopped run goes on from it.")
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write proofs and counterexamples, for glscli check to check again, e.g. model.cert.",
        ),
    ] = None,
    arithmetic: Annotated[
        str | None,
        typer.Option(
            metavar="float32|real",
            help="Of proofs: the file as a runtime computes it, sums in any order, or in real numbers.",
            show_default="float32; of a query what it declares",
        ),
    ] = None,
    attestation: Annotated[
        Path | None,
        typer.Option(help="File for an in-toto statement of what is proved of the model's SHA-256, to be signed."),
    ] = None,
    memory: Annotated[int, typer.Option(min=1, help="MiB for bounds and open subdomains, of each process.")] = 256,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all; with --jobs one each")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes that share the inputs, or properties, one thread each.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Share them on a Ray cluster: its address, auto, or local for --jobs N here."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the attack.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what computes the bounds, and why not faster.")
    ] = False,
) -> None:
    """Prove or refute that an ONNX classifier keeps its answer within eps, or decide a property in VNN-LIB.

    With labelled inputs, each ends misclassified, falsified (a counterexample that onnxruntime confirmed on this
    file), verified (proved of the file in float32, sums in any order, or with --arithmetic real in real numbers), or
    unknown with the reason. Exit 0: all verified, or the policy met; 1: some falsified or misclassified, or the policy
    missed; 3: none of these, but some unknown. A single output is a binary classifier of labels 0 and 1. With
    --tolerance the network is a regression: verified where no output moves further than that within the ball,
    misclassified where one is further than that from its label.

    With --vnnlib, or a query and --network, the answer is unsat (proved: no input does what the property describes,
    exit 0), sat (an input that does, confirmed by onnxruntime, exit 1), unknown or timeout (exit 3).

    Ctrl-C keeps what --out holds, and the same command goes on from there; with --json what is known is printed. With
    --jobs the answers are those of one process.

    Example: glscli verify model.onnx --eps 0.1 --images 0:1000 --out results.json

    Example: glscli verify model.onnx --eps 0.5 --norm 2 --images 0:1000

    Example: glscli verify model.onnx --eps 0.1 --jobs 8

    Example: glscli verify model.onnx --vnnlib property.vnnlib --timeout 60

    Example: glscli verify model.onnx --eps 0.1 --certificates model.cert

    Example: glscli verify model.onnx --eps 0.1 --attestation model.intoto.json

    Example: glscli verify model.onnx --vnnlib properties --ray head.example.org:6379
    """
    from glscert.verifier.arithmetic import parse_arithmetic
    from glscert.verifier.run.jobs import Jobs
    from glscert.verifier.settings import Effort

    request = Request(eps, eps_file, data, data_dir, images, norm, range, label, threshold, tolerance, min_certified)
    if vnnlib is not None or _is_query(model):
        _refuse_ignored(request)
    kind = parse_arithmetic(arithmetic or "float32")
    output = Output(out, result_file, attestation, certificates, as_json, verbose)
    effort, several = Effort(timeout, memory * 2**20, seed, threads), Jobs(jobs, ray)
    if several.several and threads is not None:
        raise InputError("--threads is of one process; with --jobs or --ray each has one. Leave one of them out.")
    if _is_query(model):
        from .standard import run_standard

        if several.several:
            raise InputError(f"{model} is a single query; --jobs and --ray share many. Leave them out.")
        if vnnlib is not None or output != Output(verbose=verbose):
            raise InputError(
                f"{model} is a query: its answer goes to stdout. For --vnnlib, --json, --out, --result-file, "
                f"--attestation or --certificates, write glscli verify MODEL.onnx --vnnlib {model}."
            )
        raise typer.Exit(
            run_standard(model, network or [], serialise_assignments, effort, kind if arithmetic else None, verbose)
        )
    if network or serialise_assignments is not None:
        raise InputError("--network and --serialise-assignments go with a query, glscli verify QUERY.vnnlib.")
    if vnnlib is not None:
        from .query import run_queries

        if several.several and vnnlib.is_file():
            raise InputError(f"{vnnlib} is a single property; --jobs and --ray share many. Leave them out.")

        raise typer.Exit(run_queries(model, vnnlib, effort, kind, output, several))
    if result_file is not None:
        raise InputError("--result-file goes with --vnnlib PROPERTY; --out keeps the results of labelled inputs.")
    raise typer.Exit(run(model, request, effort, kind, output, several))


def _refuse_ignored(request: Request) -> None:
    """Raises InputError where options of labelled inputs stand beside a property, which says all of it."""
    ignored = [f"--{name.replace('_', '-')}" for name, value in request._asdict().items() if value is not None]
    if ignored:
        raise InputError(
            f"{', '.join(ignored)} {'goes' if len(ignored) == 1 else 'go'} with labelled inputs; a property in VNN-LIB "
            "states its own inputs and what must not happen. Leave one of the two out."
        )


def _is_query(path: Path) -> bool:
    return path.name.endswith((".vnnlib", ".vnnlib.gz"))
