"""Data-set mode of `glscli verify`: labelled inputs to verdicts, tables and JSON."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from glscert.verifier.errors import InputError

from . import arithmetic, certificates, render
from .asked import say_what_is_asked
from .interrupt import CODE, say_how_to_go_on, undisturbed
from .output import Output
from .parse import parse_eps, parse_norm, parse_range, parse_slice, read_ranges

if TYPE_CHECKING:
    import numpy as np

    from glscert.verifier import Answer, Network
    from glscert.verifier.answer.input_record import InputRecord
    from glscert.verifier.arithmetic import Arithmetic
    from glscert.verifier.inputs import Inputs
    from glscert.verifier.region import Entries, Norm, Region
    from glscert.verifier.run.jobs import Jobs
    from glscert.verifier.settings import Effort, Settings
    from glscert.verifier.task import Task

SECONDS_BETWEEN_SAVES = 5.0


class Request(NamedTuple):
    """What the command line says about labelled inputs; a property goes with none of it. None: not given."""

    eps: str | None
    eps_file: Path | None
    data: Path | None
    data_dir: Path | None
    images: str | None
    norm: str | None
    range: str | None
    label: str | None
    threshold: float | None
    tolerance: float | None
    min_certified: float | None


def run(
    model: Path,
    request: Request,
    effort: "Effort",
    kind: "Arithmetic",
    output: Output,
    jobs: "Jobs",
) -> int:
    """The exit code, after everything is printed and kept."""
    from glscert.verifier import load
    from glscert.verifier.answer.input_record import InputRecord
    from glscert.verifier.answer.record import check_target, digest
    from glscert.verifier.engine.threads import set_threads
    from glscert.verifier.run.labels import recheck, rounded, task_of
    from glscert.verifier.settings import Settings

    out = output.out
    if out is not None:
        check_target(out)
    if effort.threads is not None:
        set_threads(effort.threads)
    network = load(model, arithmetic=kind)
    subject = certificates.subject(network, output.certificates, effort)
    if output.verbose:
        arithmetic.say(network, jobs)
    norm = parse_norm(request.norm, network.metadata.get("norm"))
    inputs, source = _inputs(network, request)
    radius, low, high = _region(network, inputs, request, norm).complete()
    settings = Settings(
        radius, low, high, effort.timeout, memory=effort.memory, seed=effort.seed, norm=norm,
        threshold=request.threshold, tolerance=request.tolerance, proofs=subject is not None,
    )  # fmt: skip
    first, last = parse_slice(request.images, len(inputs.x))
    x, y = inputs.x[first:last], inputs.y[first:last]
    task = task_of(network, settings)
    labels = task.labels(y, len(x))
    data = {"source": source, "sha256": digest(x, y), "first": first, "last": last, "rounded": rounded(network, x)}
    record = InputRecord(_header(network, task, settings, data | {"label": inputs.label}), labels, out)
    recheck(network, x, labels, settings, first, record.entries, record.counterexamples)
    _remark(record, inputs, source, request.images)
    say_what_is_asked(task, x)
    known: dict[int, Answer] = {}
    interrupted = not _run(network, x, y, first, settings, record, known, jobs)
    more: Mapping[str, Any] = {}
    if subject is not None and output.certificates is not None and not interrupted:
        found = certificates.of_inputs(record, known)
        more = certificates.write(output.certificates, subject.of_labelled(inputs.x, inputs.y, task, settings, found))
    with undisturbed():
        if output.as_json:
            render.print_json({**record.as_json(), **more})
        elif not interrupted:
            _show(record, model, settings)
    if interrupted:
        say_how_to_go_on(len(record.entries), record.count, "inputs", out)
        return CODE
    return _exit_code(record.summary(), request.min_certified)


def _run(
    network: "Network",
    x: "np.ndarray",
    y: "np.ndarray",
    first: int,
    settings: "Settings",
    record: "InputRecord",
    known: "dict[int, Answer]",
    jobs: "Jobs",
) -> bool:
    """Verify what the record lacks; keep it on disk from the start on, now and then, at the end. False: interrupted.
    known: the answers of this run, with their proofs where these are to be certified."""
    from glscert.verifier.run.labels import robust

    todo = [i for i, _ in enumerate(y) if first + i not in record.entries]
    began, before, saved = time.monotonic(), record.seconds, time.monotonic()
    record.save()  # a file that cannot be written is better known now
    finished, counts = False, record.counts()
    with render.progress("verifying", max(1, len(todo))) as step:

        def keep(index: int, answer: "Answer") -> None:
            nonlocal saved
            record.tell(index, answer)
            if settings.proofs:
                known[index] = answer
            record.seconds = before + time.monotonic() - began
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                record.save()
                saved = time.monotonic()
            counts[record.entries[index]["verdict"]] += 1  # all anew for each would grow with the square of the inputs
            step(1, f"{counts['verified']} verified, {counts['falsified']} falsified, {counts['unknown']} unknown")

        try:
            robust(network, x[todo], y[todo], settings, indices=[first + i for i in todo], report=keep, jobs=jobs)
            finished = True
        except KeyboardInterrupt:
            pass  # what is known by now is kept and told below
        finally:
            record.seconds = before + time.monotonic() - began
            with undisturbed():
                record.save()
    return finished


def _show(record: "InputRecord", model: Path, settings: "Settings") -> None:
    summary = record.summary()
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
    within = "" if settings.tolerance is None else f", within {settings.tolerance:g}"
    title = f"{model.name}, {render.norm(settings.norm.value)} eps {render.radius(settings.eps)}{within}"
    render.results().print(render.table(title, columns, [row]))
    reasons: dict[str, int] = {}
    for image in record.entries.values():
        if image["verdict"] == "unknown":
            reason = image["reason"].split(", ")[0] if image["reason"].startswith("timeout") else image["reason"]
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        render.results().print(f"unknown: {count} × {reason}", markup=False)


def _exit_code(summary: dict[str, Any], min_certified: float | None) -> int:
    if min_certified is not None:
        return 0 if (summary["certified_accuracy"] or 0.0) >= min_certified else 1
    if summary["falsified"] or summary["misclassified"]:
        return 1
    return 3 if summary["unknown"] else 0


def _remark(record: "InputRecord", inputs: "Inputs", source: str, images: str | None) -> None:
    """What is not seen in the verdicts: the column of labels, a slice cut off, numbers that are rounded, an earlier
    run's record."""
    said = list(record.remarks)
    if inputs.label is not None:
        said.append(render.label_column(inputs.label, source))
    last = (images or "").partition(":")[2]
    if last and int(last) > len(inputs.x):
        said.append(f"--images {images} goes beyond the {len(inputs.x)} inputs of {source}; it ends with the last.")
    if inputs.moved:
        said.append(f"the columns of {source} are put in the network's order, by their names.")
    rounded = record.header["data"]["rounded"]
    if rounded:
        said.append(
            f"no float32 numbers: {rounded} of the inputs' entries; balls stand around them as they are given, and "
            "onnxruntime is fed the nearest float32."
        )
    for sentence in said:
        render.logs().print(sentence, markup=False)


def _inputs(network: "Network", request: Request) -> "tuple[Inputs, str]":
    from glscert.verifier.arrays import laid_out
    from glscert.verifier.columns import METADATA, read_columns
    from glscert.verifier.data import DATASETS, load_dataset
    from glscert.verifier.inputs import Inputs, read_inputs
    from glscert.verifier.region import Region

    name, data, shape = network.metadata.get("dataset"), request.data, network.graph.input_shape
    if data is not None:
        if str(data) not in DATASETS:
            if request.data_dir is not None:
                raise InputError(f"--data-dir names the folder of a data set, and {data} is a file; leave one out.")
            numbers = request.tolerance is not None
            classes = None if numbers else max(2, network.graph.output_shape[0])
            columns = read_columns(network.metadata.get(METADATA), network.path)
            found = read_inputs(data, shape, label=request.label, classes=classes, numbers=numbers, columns=columns)
            return found, data.name
        name = str(data)
    if name is None:
        raise InputError(
            f"{network.path} does not name a data set; give labelled inputs with --data FILE.npz or FILE.csv, or name "
            f"one: {', '.join(DATASETS)}."
        )
    if request.label is not None:
        raise InputError(f"--label names a column of --data FILE.csv; {name} knows its labels.")
    known = load_dataset(name, "test", request.data_dir)
    return Inputs(laid_out(known.x, shape, name), known.y, Region()), f"{name} test"


def _region(network: "Network", inputs: "Inputs", request: Request, norm: "Norm") -> "Region":
    """What the command line says, else the file of radii, else the inputs' own file, else the model.

    The model's radius counts in the model's norm only.
    """
    from glscert.verifier.region import Region, read_region, region

    eps, eps_file, range = request.eps, request.eps_file, request.range
    if eps is not None and eps_file is not None:
        raise InputError("--eps and --eps-file both state the radius; leave one out.")
    shape, metadata = network.graph.input_shape, network.metadata
    found = Region()
    if range is not None:
        low, high = parse_range(range)
        found = region({"low": low, "high": high}, shape, "--range")
    if eps is not None:
        found = found.over(region({"eps": _numbers(parse_eps(eps, None))}, shape, "--eps"))
    if eps_file is not None:
        found = found.over(read_region(eps_file, shape, inputs.columns))
    found = found.over(inputs.region)
    if found.eps is None:
        stated = parse_norm(None, metadata.get("norm"))
        if norm is not stated and "eps" in metadata:
            raise InputError(
                f"the model's own eps {metadata['eps']} is a radius in {render.norm(stated.value)}, not in "
                f"{render.norm(norm.value)}; give the radius with --eps."
            )
        own_eps = _numbers(parse_eps(None, metadata.get("eps")))
        found = found.over(region({"eps": own_eps}, shape, str(network.path)))
    if found.low is None:
        lows, highs = map(_numbers, read_ranges(metadata.get("input_range", "0 1")))
        found = found.over(region({"low": lows, "high": highs}, shape, str(network.path)))
    return found


def _numbers(values: list[float]) -> "Entries":
    """One number counts for all entries, several for one each."""
    import numpy as np

    return values[0] if len(values) == 1 else np.array(values)


def _plain(entries: "Entries") -> Any:
    """A number, None for an infinite one, or a row-major list of them."""
    import numpy as np

    numbers = [value if abs(value) < float("inf") else None for value in np.ravel(entries).tolist()]
    return numbers if np.ndim(entries) else numbers[0]


def _header(network: "Network", task: "Task", settings: "Settings", data: dict[str, Any]) -> dict[str, Any]:
    from glscert.verifier.answer.record import versions

    return {
        "model": {"path": str(network.path), "sha256": network.runtime.sha256},
        "property": {
            "norm": settings.norm.value,
            "eps": _plain(settings.eps),
            "range": [_plain(settings.low), _plain(settings.high)],
            **task.described(),
        },
        "data": data,
        "settings": {"timeout": settings.timeout, "seed": settings.seed, "arithmetic": network.arithmetic.value},
        "versions": versions(),
    }
