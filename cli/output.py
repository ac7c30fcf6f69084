"""Where a command's answers go."""

from pathlib import Path
from typing import NamedTuple


class Output(NamedTuple):
    """out: a record that a stopped run goes on from. certificates: what can be checked again without us. result_file:
    VNN-COMP's answer to a single property."""

    out: Path | None = None
    certificates: Path | None = None
    result_file: Path | None = None
    as_json: bool = False
    verbose: bool = False
