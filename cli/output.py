"""Where a command's answers go."""

from pathlib import Path
from typing import NamedTuple

from glscert.verifier.errors import InputError


class Output(NamedTuple):
    """out: a record that a stopped run goes on from. result_file: VNN-COMP's answer to a single property. attestation:
    an in-toto statement. certificates: what glscli check can check again. as_json: on stdout. verbose: what computes
    the bounds, on stderr."""

    out: Path | None = None
    result_file: Path | None = None
    attestation: Path | None = None
    certificates: Path | None = None
    as_json: bool = False
    verbose: bool = False

    def check(self) -> None:
        """Raises InputError where a file could not be written, before work goes into it."""
        from glscert.verifier.answer.record import check_target

        if self.out is not None:
            check_target(self.out)
        for option in ("result_file", "attestation", "certificates"):
            path = getattr(self, option)
            if path is not None:
                check_place(option.replace("_", "-"), path)


def check_place(option: str, path: Path) -> None:
    """Raises InputError: no file goes there."""
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; --{option} lies in a folder that exists.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; --{option} names a file.")
