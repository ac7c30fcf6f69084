"""A policy: what must hold of models. docs/gate.md describes the file."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..arithmetic import Arithmetic
from ..data import DATASETS
from ..errors import InputError
from ..settings import Effort
from ..toml_file import read_toml_file
from . import keys, paths
from .keys import Check, Place

_MEBIBYTE = 2**20


class LabelledInputs(NamedTuple):
    """Which inputs a model is asked about, in the words of `glscli verify`'s options. None: not given."""

    eps: str | None = None
    eps_file: Path | None = None
    data: Path | None = None
    data_dir: Path | None = None
    images: str | None = None
    norm: str | None = None
    range: str | None = None
    label: str | None = None
    threshold: float | None = None
    tolerance: float | None = None


class Limits(NamedTuple):
    """What must hold of the verdicts. None: not asked. min_*: shares of the inputs; max_*: counts."""

    min_certified: float | None = None
    min_natural: float | None = None
    max_falsified: int | None = None
    max_unknown: int | None = None
    max_lost: int = 0


class Entry(NamedTuple):
    """One question about one model. ask: labelled inputs, or the file or folder of properties. certificate: what
    answers it, checked again, in place of a search. line: of the policy, 0 where it is not known. required: whether
    data that are not there are an error."""

    name: str
    file: Path
    line: int
    ask: LabelledInputs | Path
    effort: Effort
    limits: Limits
    required: bool
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    certificate: Path | None = None


class Policy(NamedTuple):
    """complete: folders of which every .onnx must be named. beside: endings, one of which has to stand beside each."""

    path: Path
    root: Path
    entries: tuple[Entry, ...]
    complete: tuple[Path, ...]
    beside: tuple[str, ...]


_EFFORT: dict[str, Check] = {"timeout": keys.number, "memory": keys.positive, "seed": keys.count}
_ACCURACY: dict[str, Check] = {"min_certified": keys.share, "min_natural": keys.share}
_COUNTS: dict[str, Check] = dict.fromkeys(("max_falsified", "max_unknown", "max_lost"), keys.count)
# A model's own key takes the place of this one among the defaults.
_IN_PLACE_OF = {"eps": "eps_file", "eps_file": "eps", "threshold": "tolerance", "tolerance": "threshold"}


def read_policy(path: Path) -> Policy:
    """Raises InputError: no such file, no TOML, keys or values that are none, paths that lead out of the repository."""
    file = read_toml_file(path, "policy")
    root = paths.root_of(path)
    lines = keys.lines_of(file.text)
    known = _known(path, root)
    top = Place(path, "the policy", lines["", 0])
    several: dict[str, Check] = {
        "complete": lambda value: tuple(paths.folder(each, path, root) for each in keys.texts(value)),
        "beside": keys.endings,
    }
    tables: dict[str, Check] = {"defaults": _table, "model": _tables}
    found = keys.check(file.table, several | tables, top)
    defaults = keys.check(
        found.get("defaults", {}),
        {key: each for key, each in known.items() if key not in ("file", "name", "properties", "certificate")},
        Place(path, "[defaults]", lines.get(("defaults", 0), {})),
    )
    entries = [
        _entry(table, defaults, known, Place(path, f"[[model]] {place + 1}", lines.get(("model", place), {})))
        for place, table in enumerate(found.get("model", []))
    ]
    if not entries:
        raise InputError(f"{path} names no model; give one table [[model]] for each (docs/gate.md has an example).")
    names = [entry.name for entry in entries]
    for entry in entries:
        if names.count(entry.name) > 1:
            raise InputError(
                f'{path} asks of {entry.name} more than once; tell the questions apart by a name = "…" in each.'
            )
    return Policy(path, root, tuple(entries), found.get("complete", ()), found.get("beside", ()))


def _known(path: Path, root: Path) -> dict[str, Check]:
    """The keys of a model."""
    inside = partial(_path, policy=path, root=root)
    return {
        "file": inside,
        "name": keys.text,
        "properties": inside,
        "eps": keys.radius,
        "eps_file": inside,
        "data": lambda value: Path(value) if keys.text(value) in DATASETS else inside(value),
        "data_dir": inside,
        "images": keys.text,
        "norm": _norm,
        "range": keys.span,
        "label": keys.text,
        "threshold": keys.number,
        "tolerance": keys.number,
        "required": keys.truth,
        "arithmetic": _arithmetic,
        "certificate": inside,
        **_EFFORT,
        **_ACCURACY,
        **_COUNTS,
    }


def _entry(table: dict[str, Any], defaults: dict[str, Any], known: dict[str, Check], place: Place) -> Entry:
    own = keys.check(table, known, place)
    if "file" not in own:
        place.refuse("", 'it has no file; name the model\'s: file = "model.onnx".')
    place = place._replace(name=f"[[model]] {table['file']}")
    of_labels = {*LabelledInputs._fields, *_ACCURACY}
    asks_properties = "properties" in own
    strange = [key for key in own if asks_properties and key in of_labels]
    if strange:
        place.refuse(strange[0], f"{strange[0]} goes with labelled inputs; properties in VNN-LIB state all of it.")
    passed_over = of_labels if asks_properties else {_IN_PLACE_OF[key] for key in own if key in _IN_PLACE_OF}
    given = {key: value for key, value in defaults.items() if key not in passed_over} | own
    limits = Limits(**{key: given[key] for key in Limits._fields if key in given})
    if asks_properties:
        limits = Limits(
            max_falsified=limits.max_falsified or 0, max_unknown=limits.max_unknown or 0, max_lost=limits.max_lost
        )
    elif all(limit is None for limit in limits[:4]):
        place.refuse("", "it requires nothing; give min_certified, min_natural, max_unknown or max_falsified.")
    ask = own["properties"] if asks_properties else LabelledInputs(**_labelled(given))
    try:
        effort = Effort(
            given.get("timeout", Effort.timeout),
            given.get("memory", Effort.memory // _MEBIBYTE) * _MEBIBYTE,
            given.get("seed", Effort.seed),
        )
    except InputError as error:
        place.refuse("timeout", str(error))
    name, line = own.get("name", table["file"]), place.lines.get("", 0)
    arithmetic = given.get("arithmetic", Arithmetic.FLOAT32)
    required, certificate = given.get("required", True), own.get("certificate")
    return Entry(name, own["file"], line, ask, effort, limits, required, arithmetic, certificate)


def _labelled(given: dict[str, Any]) -> dict[str, Any]:
    """A model's own file of inputs takes the place of the defaults' data folder."""
    found = {key: given[key] for key in LabelledInputs._fields if key in given}
    if "data" in found and str(found["data"]) not in DATASETS:
        found.pop("data_dir", None)
    return found


def _path(value: Any, policy: Path, root: Path) -> Path:
    return paths.inside(keys.text(value), policy, root)


def _norm(value: Any) -> str:
    norms = ("inf", "2", "1", "linf", "l2", "l1")
    if isinstance(value, bool) or str(value) not in norms:
        raise ValueError(f"one of {', '.join(norms[:3])}")
    return str(value)


def _arithmetic(value: Any) -> Arithmetic:
    if value not in [each.value for each in Arithmetic]:
        raise ValueError(f"one of {', '.join(each.value for each in Arithmetic)}")
    return Arithmetic(value)


def _table(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("a table [defaults]")
    return value


def _tables(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("a table [[model]] for each model, in double brackets")
    return value
