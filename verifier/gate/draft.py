"""A policy to begin with, from what the models say of themselves."""

import json
from os.path import relpath
from pathlib import Path

from ..errors import InputError
from ..graph import load_model
from . import paths

_HEAD = """\
# What must hold of the models before they are shipped: glscli gate {name}
# Every key is described in docs/gate.md of glscert.

[defaults]
timeout = 20        # seconds of search for each input or property
# data_dir = "data" # where the data sets lie that models name, seen from here
# required = false  # data that are not there: skip the model, with a sentence, instead of failing
"""
_MODEL = """
[[model]]
file = {file}
{eps}
{data}
# images = "0:1000" # first:last; without it all
min_certified = 0.0 # raise it to what the gate finds
# min_natural = 0.9
# max_unknown = 0
"""


def draft(policy: Path, models: list[Path]) -> str:
    """The text of a policy in the file `policy`. Raises InputError or UnsupportedError: a model that is none."""
    root = paths.root_of(policy)
    parts = [_HEAD.format(name=policy.name)]
    for model in models:
        given = Path(relpath(model.absolute(), policy.parent.absolute())).as_posix()
        try:
            paths.inside(given, policy, root)
        except ValueError as error:
            raise InputError(f"{model}: a policy {policy} needs {error}.") from None
        metadata = load_model(model).metadata
        eps = f"eps = {_quoted(metadata['eps'])} # the model's own" if "eps" in metadata else "eps = 0.01"
        data = (
            f"data = {_quoted(metadata['dataset'])} # the model's own"
            if "dataset" in metadata
            else 'data = "inputs.npz" # x and y; or properties = "property.vnnlib" in place of eps, data and min_*'
        )
        parts.append(_MODEL.format(file=_quoted(given), eps=eps, data=data))
    return "".join(parts)


def _quoted(text: str) -> str:
    """JSON's strings are TOML's, but for what is not printable, which a policy does not take."""
    if not text.isprintable():
        raise InputError(f"{text!r} has characters that are not printable; a policy cannot name it.")
    return json.dumps(text, ensure_ascii=False)
