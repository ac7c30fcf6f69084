"""Where a verification's results go."""

from pathlib import Path
from typing import Any, NamedTuple

from glscert.verifier.errors import GlscertError, InputError


class Outputs(NamedTuple):
    """out: the record. result_file: VNN-COMP's. attestation: an in-toto statement. as_json: on stdout. verbose: what
    computes the bounds, on stderr."""

    out: Path | None = None
    result_file: Path | None = None
    attestation: Path | None = None
    as_json: bool = False
    verbose: bool = False

    def check(self) -> None:
        """Raises InputError where a file could not be written, before work goes into it."""
        from glscert.verifier.answer.record import check_target

        if self.out is not None:
            check_target(self.out)
        for option, path in (("result-file", self.result_file), ("attestation", self.attestation)):
            if path is not None:
                check_place(option, path)


def check_place(option: str, path: Path) -> None:
    """Raises InputError: no file goes there."""
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; --{option} lies in a folder that exists.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; --{option} names a file.")


class Attested:
    """A model whose file is to be attested: that it is the same before and after. path: of the statement; None: none
    is wanted."""

    def __init__(self, model: Path, path: Path | None) -> None:
        self.model, self.path = model, path
        self._sha256 = None if path is None else _digest(model)

    def write(self, record: dict[str, Any], exit_code: int, min_certified: float | None = None) -> None:
        """Raises GlscertError where the model has changed."""
        if self.path is None or self._sha256 is None:
            return
        from glscert.verifier.answer.attestation import statement
        from glscert.verifier.files import replace_file

        if _digest(self.model) != self._sha256:
            raise GlscertError(f"{self.model} was changed while it was verified; nothing is attested. Run it again.")
        data = statement(self.model.name, self._sha256, record, exit_code, min_certified)
        replace_file(self.path, lambda file: file.write(data))


def _digest(model: Path) -> str:
    from glscert.verifier.files import sha256

    if not model.is_file():
        raise InputError(f"cannot read {model}: no such file. Give the path of a readable ONNX file.")
    return sha256(model)
