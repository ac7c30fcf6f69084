"""`glscli export`: the newest checkpoint as one file that needs none of this package."""

from pathlib import Path
from typing import Annotated

import typer

from glscert.verifier.errors import InputError

from . import render

CHECKED_IMAGES = 256


def command(
    output: Annotated[Path | None, typer.Argument(help="File to write.", show_default="model.onnx, by format")] = None,
    run: Annotated[str | None, typer.Option(help="Name of the run's folder.", show_default="the newest")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    data_dir: Annotated[
        Path, typer.Option(help="Folder with the data set, whose images the file is checked on.")
    ] = Path("data"),
    data: Annotated[
        Path | None,
        typer.Option(help="Inputs to check the file on, .npz (x, y) or .csv.", show_default="the run's test inputs"),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|first|last", help="The column of a .csv that holds the labels.", show_default="as in training"
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="onnx, torchscript or program (torch.export).", show_default="by the file's name, else onnx"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")] = False,
) -> None:
    """Export a trained network as ONNX, TorchScript or a torch.export program, checked on real images first.

    Example: glscli export model.onnx
    """
    import numpy as np

    from glscert import trainer
    from glscert.export import FORMATS, export_model
    from glscert.verifier.columns import METADATA, read_columns
    from glscert.verifier.graph import read_bundle
    from glscert.verifier.inputs import read_inputs

    folder = runs_dir / run if run else trainer.newest_run(runs_dir)
    config = trainer.read_config(folder)
    endings = {name: known.default_name.removeprefix("model") for name, known in FORMATS.items()}
    format = _format(output, format, endings)
    target = output or Path(FORMATS[format].default_name if format in FORMATS else "model.onnx")
    bundle = trainer.model_folder(folder)
    if data is None:
        inputs = trainer.load_test(config, data_dir)[0]
    else:
        known = read_bundle(bundle)
        graph, columns = known.graph, read_columns(known.metadata.get(METADATA), bundle)
        column = label or (config.label if data.suffix.lower() == ".csv" else None)
        given = read_inputs(data, graph.input_shape, label=column, classes=graph.output_shape[0], columns=columns)
        inputs = given.x.astype(np.float32, copy=False)
    report = export_model(bundle, target, format, inputs[:CHECKED_IMAGES])
    if as_json:
        render.print_json(
            {
                "schema": "glscert/export/1",
                "run": str(folder),
                "path": str(report.path),
                "format": report.format,
                "bytes": report.size,
                "sha256": report.sha256,
                "images_checked": report.images,
                "max_difference": report.max_difference,
            }
        )
        return
    render.results().print(
        f"{report.path}: {report.format}, {report.size} bytes, from {folder}; agrees with the checkpoint on "
        f"{report.images} images to {report.max_difference:.1e}",
        markup=False,
    )


def _format(output: Path | None, given: str | None, endings: dict[str, str]) -> str:
    """The format given, or that of the file's ending. Raises InputError: an ending of none, or of another."""
    ends = [name for name, ending in endings.items() if output and output.name.lower().endswith(ending)]
    if given is None and output is not None and not ends:
        raise InputError(
            f"{output.name} does not end as a format does: {', '.join(f'{end} ({n})' for n, end in endings.items())}. "
            "Name it so, or choose with --format."
        )
    if given in endings and ends and given not in ends:
        raise InputError(f"{output} ends as {ends[0]}, not as {given}; name it …{endings[given]}.")
    return given or next(iter(ends), "onnx")
