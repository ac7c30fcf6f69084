"""A certificate's answers to a policy's questions, as records have them: what the checker accepts, and nothing else."""

import time
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glscert.verifier.errors import InputError

from .check import MOST_BYTES, property_questions
from .labelled import Asked

if TYPE_CHECKING:
    from glscert.verifier import Network
    from glscert.verifier.check.certificate import Certificate
    from glscert.verifier.check.checker import Checker
    from glscert.verifier.check.questions import Question
    from glscert.verifier.check.report import Outcome, Report

_VERDICTS = {"proved": "verified", "falsified": "falsified", "misclassified": "misclassified", "not covered": "unknown"}
_ANSWERS = {"proved": "unsat", "falsified": "sat", "not covered": "unknown"}
_ABSENT = "the certificate has no answer"


def inputs(path: Path, asked: Asked) -> dict[str, Any]:
    """Raises InputError where the certificate, or an answer of it, is not accepted, or where it is about something else
    than the policy."""
    from glscert.verifier.certify.certificate import labelled_header
    from glscert.verifier.check.header import labelled_questions

    x, y = asked.inputs.x, asked.inputs.y
    wanted, within = labelled_header(x, y, asked.task, asked.settings), range(asked.first, asked.first + len(asked.x))

    def questions(checker: "Checker", found: "Certificate") -> "Mapping[int, Question]":
        _alike(path, wanted, found.questions)
        keys = [key for key, _ in found.answers if key in within]
        return labelled_questions(found.questions, checker.network, x, y.tolist(), keys)

    began = time.monotonic()
    told = _accepted(path, _checked(path, asked.network, questions), within)
    said = {index: told.get(index) for index in within}
    verdicts = {index: "unknown" if own is None else _VERDICTS[own.status.value] for index, own in said.items()}
    verdicts.update(_wrong(asked, [index for index, verdict in verdicts.items() if verdict == "unknown"]))
    images = [{"index": index, "verdict": verdicts[index], "reason": _reason(own)} for index, own in said.items()]
    return {**asked.header, "images": images, "summary": {"seconds": round(time.monotonic() - began, 3)}}


def _wrong(asked: Asked, indices: list[int]) -> dict[int, str]:
    """Those that are not classified correctly, which a certificate may leave out."""
    from glscert.verifier.run.labelled import questions

    if not indices:
        return {}
    places = [index - asked.first for index in indices]
    labels = [asked.labels[place] for place in places]
    found = questions(asked.task, asked.x[places], labels, indices, asked.settings)
    return {each[0]: each[1].verdict.value for each in found if isinstance(each, tuple)}


def properties(path: Path, header: Mapping[str, Any], network: "Network", vnnlib: Path) -> dict[str, Any]:
    """As `inputs`, of a property or a folder of them."""
    from . import kept, query

    files = {file.name: file for file in query.properties(vnnlib)}
    names: dict[int, str] = {}

    def questions(checker: "Checker", found: "Certificate") -> "Mapping[int, Question]":
        known = property_questions(checker, found, vnnlib, path, {})
        names.update({key: found.questions["properties"][key]["name"] for key in known})
        return known

    began = time.monotonic()
    told = _accepted(path, _checked(path, network, questions), names)
    by_name = {names[key]: outcome for key, outcome in told.items()}
    results = []
    for name, file in files.items():
        outcome = by_name.get(name)
        answer = "unknown" if outcome is None else _ANSWERS[outcome.status.value]
        results.append({"property": name, "sha256": kept.digest(file), "verdict": answer, "reason": _reason(outcome)})
    return {**header, "results": results, "summary": {"seconds": round(time.monotonic() - began, 3)}}


def _checked(path: Path, network: "Network", questions: Any) -> "Report":
    from glscert.verifier.check.checker import check
    from glscert.verifier.check.refusal import Refused
    from glscert.verifier.files import read_bytes

    try:
        report = check(network.runtime.file.model, read_bytes(path, MOST_BYTES, "certificate"), questions)
    except Refused as error:
        raise _refused(path, error.place, error.why) from error
    if report.arithmetic != network.arithmetic.value:
        raise InputError(
            f"{path} proves in {report.arithmetic} arithmetic, the policy asks for {network.arithmetic.value}. Make it "
            f"anew with --arithmetic {network.arithmetic.value}."
        )
    return report


def _accepted(path: Path, report: "Report", asked: Container[int]) -> "dict[int, Outcome]":
    """By key, those that are asked about. Raises InputError for the first of these that is not accepted."""
    told = {outcome.key: outcome for outcome in report.outcomes if outcome.key in asked}
    for outcome in told.values():
        if outcome.status.value == "refused":
            raise _refused(path, outcome.place, outcome.why)
    return told


def _refused(path: Path, place: str, why: str) -> InputError:
    return InputError(
        f"{path} is refused, {place}: {why.rstrip('.')}. Make it anew: glscli verify MODEL --certificates FILE."
    )


def _alike(path: Path, wanted: Mapping[str, Any], stated: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        if stated.get(key) != value:
            raise InputError(
                f"{path} is about another {key}: {str(stated.get(key))[:80]}, the policy's is {str(value)[:80]}. Make "
                "the certificate anew: glscli verify MODEL --certificates FILE."
            )


def _reason(outcome: "Outcome | None") -> str:
    if outcome is None:
        return _ABSENT
    return outcome.why or f"{outcome.status.value}, by the certificate"
