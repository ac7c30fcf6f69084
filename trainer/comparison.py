"""Runs side by side: what each was trained for, what its network reaches, and which of them no other one beats."""

from collections.abc import Iterable, Mapping, Sequence
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from glscert.verifier.answer.record import VERIFIED, VERIFIED_BEFORE, checksum, contradicts, read_record
from glscert.verifier.errors import InputError

from .architectures import SOURCES
from .channels import from_record
from .checkpoint import read_config
from .config import TrainConfig
from .journal import read_epochs


class Verified(NamedTuple):
    """What `glscli verify` found of a run's network: fractions of so many test images."""

    path: Path
    images: int
    natural: float
    certified: float


class Entry(NamedTuple):
    """A run: its configuration, the records of its epochs, and a verification where there is one."""

    run: Path
    config: TrainConfig
    epochs: list[dict[str, Any]]
    verified: Verified | None

    @property
    def source(self) -> str:
        """The data set, or the user's own file."""
        return self.config.data or self.config.dataset

    @property
    def natural(self) -> float:
        return float(self.epochs[-1]["natural"])

    @property
    def certified(self) -> float:
        """By the relaxation of the run's own evaluations."""
        return float(self.epochs[-1]["certified"])

    @property
    def proved(self) -> float:
        """The certified accuracy that is known best: that of `glscli verify`, else the run's own."""
        return self.certified if self.verified is None else self.verified.certified

    @property
    def idle_channels(self) -> tuple[int, int, int] | None:
        """How many channels are dead, how many always active, and of how many; None: not looked at yet."""
        layers = next((found for record in reversed(self.epochs) if (found := from_record(record))), [])
        if not layers:
            return None
        dead, active = sum(len(layer.dead) for layer in layers), sum(len(layer.active) for layer in layers)
        return dead, active, sum(layer.channels for layer in layers)

    @property
    def evaluated_by(self) -> str:
        return self.config.eval_relaxation or self.config.relaxation


def read_entries(runs: Iterable[Path], verified: Mapping[str, Path]) -> list[Entry]:
    """The runs in the given folders; `verified` holds a report of `glscli verify` by run name.

    Where it holds none, a report that lies in the run's own folder is taken. Raises InputError: no such run, no epoch
    finished, several data sets, reports of something else or of no run named.
    """
    runs = list(dict.fromkeys(runs))
    strange = sorted(set(verified) - {run.name for run in runs})
    if strange:
        raise InputError(f"there is a report for {strange[0]}, which is not among the runs compared.")
    entries = [_read(run, verified.get(run.name)) for run in runs]
    by_dataset = {entry.source: entry.run for entry in reversed(entries)}
    if len(by_dataset) > 1:
        named = "; ".join(f"{run} on {dataset}" for dataset, run in sorted(by_dataset.items()))
        raise InputError(f"these runs are on several data sets ({named}); name runs of one data set to compare.")
    return entries


def _read(run: Path, report: Path | None) -> Entry:
    config = read_config(run)
    epochs = read_epochs(run)
    if not epochs:
        raise InputError(f"{run} has not finished an epoch; go on with glscli train --resume --run {run.name}.")
    path = report or next(iter(sorted(p for p in run.glob("*.json") if _is_report(p))), None)
    return Entry(run, config, epochs, None if path is None else _read_report(path, config))


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(200)  # it is the first key
    return any(schema.encode() in beginning for schema in (VERIFIED, VERIFIED_BEFORE))


def _read_report(path: Path, config: TrainConfig) -> Verified:
    if not path.exists():
        raise InputError(f"there is no report {path}; write one with glscli verify model.onnx --out {path}.")
    report = read_record(path, "a result of glscli verify")
    if report["schema"] == VERIFIED_BEFORE:
        raise InputError(f"{path} was written by an older version; verify again with --out, or delete it.")
    if report["schema"] == VERIFIED and report.get("checksum") != checksum(report):
        raise contradicts(path, "its checksum is another")
    try:
        if report["schema"] != VERIFIED:
            raise ValueError(f"its schema is {report['schema']}")
        summary, about, source = report["summary"], report["property"], report["data"]["source"]
        eps, norm = about["eps"], about["norm"]
        found = Verified(
            path, int(summary["images"]), float(summary["natural_accuracy"]), float(summary["certified_accuracy"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a result of glscli verify ({type(error).__name__}: {error}).") from None
    same_eps = norm == "linf" and isinstance(eps, int | float) and isclose(eps, config.eps, rel_tol=1e-6)
    if config.dataset in SOURCES and not (same_eps and source == f"{config.dataset} test"):
        raise InputError(
            f"{path} is about eps {eps} in {norm} on {source}, the run about eps {config.eps:g} in linf on "
            f"{config.dataset}; verify the run's own network: glscli verify model.onnx --eps {config.eps:g} "
            f"--out {path}."
        )
    return found


def on_front(entries: Sequence[Entry]) -> set[int]:
    """Indices of the runs that no other run of the same eps beats in natural and certified accuracy."""
    found = set()
    for eps in {entry.config.eps for entry in entries}:
        same = [i for i, entry in enumerate(entries) if entry.config.eps == eps]
        found |= {same[j] for j in front([(entries[i].natural, entries[i].proved) for i in same])}
    return found


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the Pareto front: points that no other one equals or beats in both numbers, one of which strictly.

    In the order of the first number, the largest first.
    """

    def beaten(i: int) -> bool:
        return any(
            all(a >= b for a, b in zip(other, points[i], strict=True)) and other != points[i] for other in points
        )

    return sorted((i for i in range(len(points)) if not beaten(i)), key=lambda i: points[i], reverse=True)
