"""`glscli verify --certificates FILE`: what a run proved, as `glscli check` reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import render

if TYPE_CHECKING:
    from glscert.verifier import Answer, Network
    from glscert.verifier.answer.input_record import InputRecord
    from glscert.verifier.answer.query_record import QueryRecord
    from glscert.verifier.certify.certificate import Subject, Written
    from glscert.verifier.certify.proofs import Found
    from glscert.verifier.settings import Effort

_MOST_REASONS = 8


def subject(network: "Network", path: Path | None, effort: "Effort") -> "Subject | None":
    """What certificates are to be of; None where none are asked for. Says on stderr where nothing will be covered."""
    from glscert.verifier.certify.certificate import Subject

    if path is None:
        return None
    found = Subject(network, effort.memory)
    if found.why:
        render.logs().print(f"no answer will be covered by {path}: {found.why}.", markup=False)
    return found


def of_inputs(record: "InputRecord", known: "Mapping[int, Answer]") -> "dict[int, Found]":
    """What is known of labelled inputs, by number; known: answers of this run."""
    points = record.counterexamples
    return {index: _found(entry, known.get(index), points.get(index)) for index, entry in record.entries.items()}


def of_queries(record: "QueryRecord", paths: Sequence[Path], known: "Mapping[Path, Answer]") -> "dict[int, Found]":
    """Of properties, by place; known: all answers."""
    points = {path: answer.witness.x for path, answer in known.items() if answer.witness is not None}
    return {
        place: _found(record.entries[path.name], known.get(path), points.get(path)) for place, path in enumerate(paths)
    }


def _found(entry: "Mapping[str, Any]", answer: "Answer | None", x: Any) -> "Found":
    """entry: of a record; x: the counterexample."""
    from glscert.verifier import Verdict
    from glscert.verifier.certify.proofs import Found

    said = next((each for each in Verdict if entry["verdict"] in (each.value, each.word)), None)
    verdict, proof = (said, None) if answer is None else (answer.verdict, answer.proof)
    return Found(verdict, proof, x, entry["reason"])


def write(path: Path, written: "Written") -> dict[str, Any]:
    """Beside, then renamed; a sentence on stderr. What --json has of it."""
    from glscert.verifier.files import replace_file

    replace_file(path, lambda file: file.write(written.data))
    size = len(written.data)
    render.logs().print(
        f"{path}: {written.covered} of {written.answers} answers are covered, in {size:,} bytes.", markup=False
    )
    for why, count in list(written.why.items())[:_MOST_REASONS]:
        render.logs().print(f"not covered: {count} × {why}", markup=False)

    return {
        "certificates": {
            "path": str(path),
            "bytes": size,
            "answers": written.answers,
            "covered": written.covered,
            "not_covered": dict(written.why),
        }
    }
