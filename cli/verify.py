"""`glscli verify`: an ONNX file and labelled inputs to verdicts."""

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError

from . import render

if TYPE_CHECKING:
    import numpy as np

    from glscert.verifier.report import Report
    from glscert.verifier.verify import Settings, Verifier

SECONDS_BETWEEN_SAVES = 10.0


def command(
    model: Annotated[Path, typer.Argument(help="ONNX file (.onnx or .onnx.gz).")],
    eps: Annotated[
        str | None, typer.Option(help="Radius in input units, 0.1 or 2/255.", show_default="the model's own")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled inputs, .npz (x, y) or .csv.", show_default="the model's data set")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Folder with the data set that the model names.")] = Path("data"),
    images: Annotated[
        str | None, typer.Option(help="Which inputs, as first:last (last left out).", show_default="all")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds of search per input.")] = 60.0,
    norm: Annotated[str, typer.Option(help="Norm of the ball: linf.")] = "linf",
    range: Annotated[
        str | None, typer.Option(help="Valid input range low,high or none.", show_default="the model's own, else 0,1")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file to keep results in; a stopped run goes on from it.")
    ] = None,
    min_certified: Annotated[
        float | None, typer.Option(min=0, max=1, help="Policy: exit 0 if certified accuracy is at least this, else 1.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the attack.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Prove or refute that an ONNX classifier keeps its answer on every input within eps.

    Each input ends misclassified, falsified (a counterexample that onnxruntime confirmed on this file), verified (a
    proof in float64), or unknown with the reason. Exit 0: all verified, or the policy met; 1: some falsified or
    misclassified, or the policy missed; 3: none of these, but some unknown.

    Example: glscli verify model.onnx --eps 0.1 --images 0:1000 --out results.json
    """
    from glscert.verifier.verify import Settings, Verifier

    if norm != "linf":
        raise InputError(f"--norm {norm} is not supported; supported: linf.")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    verifier = Verifier(model)
    low, high = _range(range, verifier.model.metadata.get("input_range"))
    settings = Settings(_eps(eps, verifier.model.metadata.get("eps")), low, high, timeout, seed=seed)
    x, y, source = _inputs(verifier, data, data_dir)
    first, last = _slice(images, len(x))
    x, y = x[first:last], y[first:last]
    header = _header(
        verifier, settings, norm, {"source": source, "sha256": _digest(x, y), "first": first, "last": last}
    )
    from glscert.verifier.report import Report

    report = Report(header, len(x), out)
    _run(verifier, x, y, first, settings, report)
    if as_json:
        render.print_json(report.as_json())
    else:
        _show(report, model, settings)
    raise typer.Exit(_exit_code(report.summary(), min_certified))


def _run(
    verifier: "Verifier", x: "np.ndarray", y: "np.ndarray", first: int, settings: "Settings", report: "Report"
) -> None:
    """Verify what the report lacks; keep it on disk now and then, at the end, and on Ctrl-C."""
    todo = [i for i, _ in enumerate(y) if first + i not in report.images]
    began, before, saved = time.monotonic(), report.seconds, time.monotonic()
    with render.progress("verifying", max(1, len(todo))) as step:

        def keep(outcome: Any) -> None:
            nonlocal saved
            report.add(outcome)
            report.seconds = before + time.monotonic() - began
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                report.save()
                saved = time.monotonic()
            counts = report.summary()
            step(1, f"{counts['verified']} verified, {counts['falsified']} falsified, {counts['unknown']} unknown")

        try:
            verifier.verify(x[todo], y[todo], settings, indices=[first + i for i in todo], report=keep)
        finally:
            report.seconds = before + time.monotonic() - began
            report.save()


def _show(report: "Report", model: Path, settings: "Settings") -> None:
    summary = report.summary()
    percent = {
        key: "-" if summary[key] is None else f"{100 * summary[key]:.2f} %"
        for key in summary
        if key.endswith("accuracy")
    }
    columns = ("images", "natural", "adversarial", "certified", "unknown", "seconds")
    row = (
        summary["images"],
        percent["natural_accuracy"],
        percent["adversarial_accuracy"],
        percent["certified_accuracy"],
        summary["unknown"],
        f"{summary['seconds']:.1f}",
    )
    render.results().print(render.table(f"{model.name}, l∞ eps {settings.eps:g}", columns, [row]))
    reasons: dict[str, int] = {}
    for image in report.images.values():
        if image["verdict"] == "unknown":
            reasons[image["reason"]] = reasons.get(image["reason"], 0) + 1
    for reason, count in reasons.items():
        render.results().print(f"unknown: {count} × {reason}", markup=False)


def _exit_code(summary: dict[str, Any], min_certified: float | None) -> int:
    if min_certified is not None:
        return 0 if (summary["certified_accuracy"] or 0.0) >= min_certified else 1
    if summary["falsified"] or summary["misclassified"]:
        return 1
    return 3 if summary["unknown"] else 0


def _inputs(verifier: "Verifier", data: Path | None, data_dir: Path) -> "tuple[np.ndarray, np.ndarray, str]":
    if data is not None:
        from glscert.verifier.inputs import read_inputs

        return *read_inputs(data, verifier.graph.input_shape), data.name
    name = verifier.model.metadata.get("dataset")
    if name is None:
        raise InputError(
            f"{verifier.path} does not name a data set; give labelled inputs with --data FILE.npz or FILE.csv."
        )
    from glscert.verifier.data import load_dataset

    known = load_dataset(name, "test", data_dir)
    return known.x, known.y, f"{name} test"


def _eps(given: str | None, own: str | None) -> float:
    text = given if given is not None else own
    if text is None:
        raise InputError("the model names no eps; give the radius with --eps, such as --eps 0.1 or --eps 2/255.")
    from fractions import Fraction
    from math import isfinite

    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"--eps {text} is not a number; write it as 0.1 or 2/255.") from None
    if not isfinite(value) or value < 0:
        raise InputError(f"--eps {text} must be finite and not negative.")
    return value


def _range(given: str | None, own: str | None) -> tuple[float, float]:
    if given == "none":
        return float("-inf"), float("inf")
    text = given.replace(",", " ") if given is not None else own or "0 1"
    try:
        low, high = (float(part) for part in text.split())
    except ValueError:
        raise InputError(f"the input range {text!r} is not two numbers; write --range 0,1 or --range none.") from None
    if not low < high:
        raise InputError(f"the input range {text!r} is empty; write the lower end first.")
    return low, high


def _slice(images: str | None, count: int) -> tuple[int, int]:
    if images is None:
        return 0, count
    try:
        parts = [int(part) if part else None for part in images.split(":")]
        first, last = (parts[0] or 0, (parts[0] or 0) + 1) if len(parts) == 1 else (parts[0] or 0, parts[1] or count)
    except (ValueError, IndexError):
        raise InputError(f"--images {images} is not first:last, such as 0:1000.") from None
    if len(parts) > 2 or not 0 <= first < last or first >= count:
        raise InputError(f"--images {images} selects nothing of {count} inputs; write first:last within 0:{count}.")
    return first, min(last, count)


def _digest(x: "np.ndarray", y: "np.ndarray") -> str:
    return hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()


def _header(verifier: "Verifier", settings: "Settings", norm: str, data: dict[str, Any]) -> dict[str, Any]:
    from importlib.metadata import version

    packages = ("glscert", "torch", "onnx", "numpy")
    bounds = [None if value in (float("inf"), float("-inf")) else value for value in (settings.low, settings.high)]
    return {
        "model": {"path": str(verifier.path), "sha256": verifier.sha256},
        "property": {"norm": norm, "eps": settings.eps, "range": bounds},
        "data": data,
        "settings": {"timeout": settings.timeout, "seed": settings.seed},
        "versions": {name: version(name) for name in packages},
    }
