"""`glscli export`: the newest checkpoint as one file that needs none of this package."""

from pathlib import Path
from typing import Annotated

import typer

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
    format: Annotated[
        str | None,
        typer.Option(help="onnx, torchscript or program (torch.export).", show_default="by the file's name, else onnx"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")] = False,
) -> None:
    """Export a trained network as ONNX, TorchScript or a torch.export program, checked on real images first.

    Example: glscli export model.onnx
    """
    from glscert import trainer
    from glscert.export import FORMATS, export_model
    from glscert.verifier.graph import read_bundle
    from glscert.verifier.inputs import read_inputs

    folder = runs_dir / run if run else trainer.newest_run(runs_dir)
    config = trainer.read_config(folder)
    if format is None:
        names = {name: known.default_name.partition(".")[2] for name, known in FORMATS.items()}
        format = next((name for name, end in names.items() if output and output.name.endswith(f".{end}")), "onnx")
    target = output or Path(FORMATS[format].default_name if format in FORMATS else "model.onnx")
    bundle = trainer.model_folder(folder)
    inputs = (
        read_inputs(data, read_bundle(bundle).graph.input_shape).x if data else trainer.load_test(config, data_dir)[0]
    )
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
