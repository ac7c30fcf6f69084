"""`glscli verify --attestation FILE`: a statement about a model's file that others sign."""

from pathlib import Path
from typing import Any

from glscert.verifier.errors import GlscertError, InputError


class Attested:
    """A model whose file is to be attested: that it is the same before and after. path: of the statement; None: none
    is wanted. certificate: of the file with the proofs, written before the statement."""

    def __init__(self, model: Path, path: Path | None, certificate: Path | None) -> None:
        self.model, self.path, self.certificate = model, path, certificate
        self._sha256 = None if path is None else _digest(model)

    def write(self, record: dict[str, Any], exit_code: int, min_certified: float | None = None) -> None:
        """Raises GlscertError where the model has changed."""
        if self.path is None or self._sha256 is None:
            return
        from glscert.verifier.answer.attestation import statement
        from glscert.verifier.files import replace_file

        if _digest(self.model) != self._sha256:
            raise GlscertError(f"{self.model} was changed while it was verified; nothing is attested. Run it again.")
        proofs = None if self.certificate is None else _digest(self.certificate)
        data = statement(self.model.name, self._sha256, record, exit_code, min_certified, proofs)
        replace_file(self.path, lambda file: file.write(data))


def _digest(path: Path) -> str:
    from glscert.verifier.files import sha256

    if not path.is_file():
        raise InputError(f"cannot read {path}: no such file. Give the path of a readable ONNX file.")
    return sha256(path)
