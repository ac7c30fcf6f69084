"""Verdicts held to the limits of a policy."""

from pathlib import Path
from typing import NamedTuple

from ..errors import listed
from .baseline import Comparison
from .policy import Limits, Policy
from .verdicts import ERROR, FALSIFIED, MISCLASSIFIED, UNKNOWN, VERIFIED, Verdicts

MET, MISSED, OPEN, BROKEN = "met", "missed", "undecided", "error"


class Requirement(NamedTuple):
    """name: of the policy's key. wanted, found: in words. state: met; missed; undecided, where too much stayed open;
    error, where a property could not be read."""

    name: str
    wanted: str
    found: str
    state: str


def judged(limits: Limits, verdicts: Verdicts, compared: Comparison | None) -> tuple[Requirement, ...]:
    """compared: with the baseline, where that counts."""
    counts, total = verdicts.counts, len(verdicts.decided)
    natural = total - counts[MISCLASSIFIED]
    found = [
        _share("min_certified", limits.min_certified, counts[VERIFIED], total),
        _share("min_natural", limits.min_natural, natural, total),
        _count("max_falsified", limits.max_falsified, counts[FALSIFIED], MISSED),
        _count("max_unknown", limits.max_unknown, counts[UNKNOWN], OPEN),
        _count("readable", 0 if counts[ERROR] else None, counts[ERROR], BROKEN),
        None if compared is None else _lost(limits.max_lost, verdicts, compared),
    ]
    return tuple(each for each in found if each is not None)


def listing(policy: Policy) -> tuple[Requirement, ...]:
    """Every model of the folders is named, and has its configuration beside it."""
    named = {entry.file.resolve() for entry in policy.entries}
    found = []
    for folder in policy.complete:
        models = [path for ending in ("*.onnx", "*.onnx.gz") for path in folder.glob(ending)]
        missing = sorted(path.name for path in models if path.resolve() not in named)
        said = f"not in the policy: {listed(missing)}" if missing else "all named"
        found.append(Requirement("complete", f"every .onnx in {folder}", said, MISSED if missing else MET))
    if policy.beside:
        lonely = sorted({entry.file.name for entry in policy.entries if not _accompanied(entry.file, policy.beside)})
        said = f"nothing beside {listed(lonely)}" if lonely else "all have one"
        wanted = f"{' or '.join(policy.beside)} beside each model"
        found.append(Requirement("beside", wanted, said, MISSED if lonely else MET))
    return tuple(found)


def _accompanied(file: Path, endings: tuple[str, ...]) -> bool:
    stem = file.name.removesuffix(".gz").removesuffix(".onnx")
    return any((file.parent / f"{stem}{ending}").is_file() for ending in endings)


def _share(name: str, least: float | None, count: int, total: int) -> Requirement | None:
    if least is None:
        return None
    found = count / total if total else 0.0
    said = f"{found:.4f} ({count} of {total})"
    return Requirement(name, f"at least {least:g}", said, MET if found >= least else MISSED)


def _count(name: str, most: int | None, count: int, otherwise: str) -> Requirement | None:
    if most is None:
        return None
    return Requirement(name, f"at most {most}", str(count), MET if count <= most else otherwise)


def _lost(most: int, verdicts: Verdicts, compared: Comparison) -> Requirement:
    """Proofs lost to what stayed open may come back with more time: where those are too many, it is undecided."""
    keys = [change.key for change in compared.lost]
    settled = sum(change.after != UNKNOWN for change in compared.lost)
    state = MET if len(keys) <= most else MISSED if settled > most else OPEN
    said = f"{len(keys)}: {verdicts.what} {listed(keys)}" if keys else "0"
    return Requirement("max_lost", f"at most {most}", said, state)
