"""`glscli inspect`: what is in an ONNX file, whether it can be verified, and what that is likely to cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError, UnsupportedError

from .arithmetic import described
from .labels import label_option

if TYPE_CHECKING:
    from glscert.verifier.graph import Model


def command(
    model: Annotated[Path, typer.Argument(help="ONNX file (.onnx or .onnx.gz).")],
    eps: Annotated[
        str | None,
        typer.Option(help="Count the unstable neurons for this radius, 0.1 or 2/255.", show_default="the model's own"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Inputs, .npz (x, y) or .csv; the first is taken.", show_default="the middle of the range"),
    ] = None,
    label: Annotated[str | None, label_option()] = None,
    range: Annotated[
        str | None, typer.Option(help="Valid input range low,high.", show_default="the model's own, else 0,1")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say what an ONNX file holds, what of it is not supported, and what a verification is likely to cost.

    Example: glscli inspect model.onnx --eps 0.1
    """
    from glscert.verifier.graph.survey import survey

    found = survey(model)
    summary: dict[str, Any] = {
        "file": str(model),
        "opset": found.opset,
        "operators": dict(sorted(found.operators.items())),
        "supported": not found.problems,
        "problems": list(found.problems),
    }
    if found.model is not None:
        summary |= _network(found.model) | _cost(found.model, eps, data, range, label)
    typer.echo(json.dumps(summary) if as_json else _text(summary))
    if found.problems:
        count = len(found.problems)
        raise UnsupportedError(f"{model}: {count} {'part is' if count == 1 else 'parts are'} not supported, see above.")


def _network(model: "Model") -> dict[str, Any]:
    takes, gives = model.graph.held or ({}, {})
    return {
        "input_shape": list(model.graph.input_shape),
        "takes": takes,
        "gives": gives,
        "outputs": model.graph.answers,
        "ending": model.graph.ending,
        "parameters": sum(array.size for array in model.params.values()),
        "written_as": [node.op for node in model.graph.nodes],
    }


def _cost(model: "Model", eps: str | None, data: Path | None, range: str | None, label: str | None) -> dict[str, Any]:
    """Neurons by layer, why there is no compiled program, and with a radius the neurons that are unstable, the time
    of a bound and what to expect."""
    import numpy as np

    from glscert.verifier.engine.engine import Engine
    from glscert.verifier.inputs import read_inputs
    from glscert.verifier.prospect import layers, prospect

    from .parse import parse_eps, read_ranges

    own, engine = model.metadata.get("eps"), Engine(model.graph, model.params)
    if eps is None and own is None:
        if data is not None:
            raise InputError("--data needs a radius: give --eps too.")
        return {"layers": [_layer(layer) for layer in layers(engine)], "not_compiled": engine.why}
    radius = np.array(parse_eps(eps, own))
    text = range or model.metadata.get("input_range", "0 1")
    ends = ([-np.inf], [np.inf]) if text == "none" else read_ranges(text.replace(",", " "))
    low, high = (np.array(end) for end in ends)
    shape = model.graph.input_shape
    low, high = (end.reshape(shape) if end.size > 1 else end for end in (low, high))
    if radius.size not in (1, int(np.prod(shape))):
        raise InputError(
            f"--eps gives {radius.size} radii; the network takes {list(shape)}. Give one, or one for each."
        )
    if data is not None:
        inputs = read_inputs(data, shape, label=label, classes=model.graph.output_shape[0]).x
        if not len(inputs):
            raise InputError(f"{data} holds no inputs; give at least one.")
        point = inputs[0].astype(np.float64)
    else:
        point = np.zeros(shape) + (0.0 if text == "none" else (low + high) / 2)
    radius = radius.reshape(shape) if radius.size > 1 else radius
    found = prospect(engine, np.maximum(point - radius, low), np.minimum(point + radius, high))
    return {
        "layers": [_layer(layer) for layer in found.layers],
        "unstable": sum(layer.unstable or 0 for layer in found.layers),
        "seconds_per_bound": round(found.seconds, 4),
        "expectation": found.expectation,
        "not_compiled": engine.why,
    }


def _layer(layer: Any) -> dict[str, Any]:
    return {"value": layer.value, "shape": list(layer.shape), "neurons": layer.neurons, "unstable": layer.unstable}


def _counted(tensors: dict[str, int]) -> str:
    return "in this order " + ", ".join(f"{name} ({size} numbers)" for name, size in tensors.items())


def _outputs(summary: dict[str, Any]) -> str:
    ending = f" of a last {summary['ending']}, verified on what it is applied to" if summary["ending"] else ""
    return f"{summary['outputs']} outputs{ending}"


def _text(summary: dict[str, Any]) -> str:
    operators = ", ".join(f"{name} {count}" for name, count in summary["operators"].items())
    lines = [f"{summary['file']}: opset {summary['opset']}", f"operators: {operators}"]
    lines += [f"not supported: {problem}" for problem in summary["problems"]]
    if not summary["supported"]:
        return "\n".join(lines)
    neurons = sum(layer["neurons"] for layer in summary["layers"])
    lines += [
        f"input {summary['input_shape']}, {_outputs(summary)}, {summary['parameters']} parameters",
        *(f"{what}: {_counted(summary[what])}" for what in ("takes", "gives") if len(summary[what]) > 1),
        f"neurons: {neurons} in {len(summary['layers'])} layers",
    ]
    for layer in summary["layers"]:
        unstable = "" if layer["unstable"] is None else f", {layer['unstable']} unstable"
        lines.append(f"  {layer['value']} {layer['shape']}: {layer['neurons']}{unstable}")
    lines.append(described(summary["not_compiled"]))
    if "expectation" in summary:
        lines.append(f"unstable: {summary['unstable']}; one bound took {summary['seconds_per_bound']} s")
        lines.append(f"to expect: {summary['expectation']}")
    return "\n".join(lines)
