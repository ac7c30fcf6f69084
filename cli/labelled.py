"""What a request for labelled inputs asks of a network: the inputs, the region around them, the task."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from glscert.verifier.errors import InputError

from . import render
from .parse import parse_eps, parse_norm, parse_range, parse_slice, read_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from glscert.verifier import Network
    from glscert.verifier.inputs import Inputs
    from glscert.verifier.region import Entries, Norm, Region
    from glscert.verifier.settings import Effort, Settings
    from glscert.verifier.task import Task


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


class Given(NamedTuple):
    """Where inputs come from: a file, or the name of a data set, else the model's own, and its folder; the column of
    labels. None: not given."""

    data: Path | None
    data_dir: Path | None
    label: str | None


class Asked(NamedTuple):
    """inputs: all of the source's; x [N, *v], y [N]: those asked about, from number `first` on; labels: as the task
    has them; header: of their record."""

    network: "Network"
    inputs: "Inputs"
    source: str
    settings: "Settings"
    task: "Task"
    first: int
    x: "np.ndarray"
    y: "np.ndarray"
    labels: list[Any]
    header: dict[str, Any]


def asked(network: "Network", request: Request, effort: "Effort") -> Asked:
    """Raises InputError or UnsupportedError where the request does not fit the network, or its data cannot be read."""
    from glscert.verifier.answer.record import digest
    from glscert.verifier.run.labels import rounded, task_of
    from glscert.verifier.settings import Settings

    norm = parse_norm(request.norm, network.metadata.get("norm"))
    graph, given = network.graph, Given(request.data, request.data_dir, request.label)
    inputs, source = given_inputs(
        given, network.metadata, network.path, graph.input_shape, graph.output_shape[0],
        numbers=request.tolerance is not None,
    )  # fmt: skip
    radius, low, high = _region(network, inputs, request, norm).complete()
    settings = Settings(
        radius, low, high, effort.timeout, memory=effort.memory, seed=effort.seed, norm=norm,
        threshold=request.threshold, tolerance=request.tolerance, proofs=effort.proofs,
    )  # fmt: skip
    first, last = parse_slice(request.images, len(inputs.x))
    x, y = inputs.x[first:last], inputs.y[first:last]
    task = task_of(network, settings)
    labels = task.labels(y, len(x))
    data = {"source": source, "sha256": digest(x, y), "first": first, "last": last, "rounded": rounded(network, x)}
    header = _header(network, task, settings, data | {"label": inputs.label})
    return Asked(network, inputs, source, settings, task, first, x, y, labels, header)


def given_inputs(
    given: Given, metadata: "Mapping[str, str]", model: Path, shape: tuple[int, ...], outputs: int, *, numbers: bool
) -> "tuple[Inputs, str]":
    """All inputs of a file or a data set, and what that is called. metadata: the model's; shape: of one input; numbers:
    labels are no classes. Raises InputError where there are none."""
    from glscert.verifier.arrays import laid_out
    from glscert.verifier.columns import METADATA, read_columns
    from glscert.verifier.data import DATASETS, load_dataset
    from glscert.verifier.inputs import Inputs, read_inputs
    from glscert.verifier.region import Region

    (data, data_dir, label), name = given, metadata.get("dataset")
    if data is not None:
        if str(data) not in DATASETS:
            if data_dir is not None:
                raise InputError(f"--data-dir names the folder of a data set, and {data} is a file; leave one out.")
            classes = None if numbers else max(2, outputs)
            columns = read_columns(metadata.get(METADATA), model)
            return read_inputs(data, shape, label=label, classes=classes, numbers=numbers, columns=columns), data.name
        name = str(data)
    if name is None:
        raise InputError(
            f"{model} does not name a data set; give labelled inputs with --data FILE.npz or FILE.csv, or name one: "
            f"{', '.join(DATASETS)}."
        )
    if label is not None:
        raise InputError(f"--label names a column of --data FILE.csv; {name} knows its labels.")
    known = load_dataset(name, "test", data_dir)
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
