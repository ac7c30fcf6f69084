"""`glscli check`: a certificate checked again, from the ONNX file and the questions alone.

It loads numpy and onnx, and none of what found the proofs.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glscert.verifier.errors import InputError

from . import render
from .labelled import Given, given_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glscert.verifier.check.certificate import Certificate
    from glscert.verifier.check.checker import Checker
    from glscert.verifier.check.questions import Question
    from glscert.verifier.check.report import Report

MOST_BYTES = 2**28  # of a certificate, or a property
_MOST_SHOWN = 10  # answers that are refused


def command(
    model: Annotated[Path, typer.Argument(help="ONNX file (.onnx or .onnx.gz).")],
    certificate: Annotated[Path, typer.Argument(help="Certificate that glscli verify wrote for it.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled inputs, .npz (x, y) or .csv, or a data set: mnist, cifar10, tinyimagenet, digits.",
            show_default="the model's data set",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with the data set that the model names.", show_default="data")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of labels, of a .csv file.")] = None,
    vnnlib: Annotated[
        Path | None, typer.Option(help="The property of the certificate (.vnnlib, .vnnlib.gz), or a folder of them.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="In fractions, without any rounding; of tiny dense networks.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Check a certificate: derive every bound again and hold every claim of it against the model and the data.

    It trusts nothing that the certificate says but what the questions are, and shares no arithmetic with glscli
    verify. The ONNX file is read node by node, bounds are computed in float64 with all rounding charged, and
    counterexamples are evaluated again.

    Exit 0: no answer is refused, and the certificate is of this file and these inputs; answers without a proof are
    counted as not covered. Exit 1: some answer, or all of it, is refused. Exit 4: the network has operators that the
    checker does not follow.

    Example: glscli check model.onnx model.cert

    Example: glscli check model.onnx property.cert --vnnlib property.vnnlib
    """
    from glscert.verifier.check.checker import check
    from glscert.verifier.check.header import kind
    from glscert.verifier.files import read_bytes
    from glscert.verifier.graph.proto import own_metadata
    from glscert.verifier.graph.read import read_model

    began = time.monotonic()
    proto = read_model(model).model
    packed = read_bytes(certificate, MOST_BYTES, "certificate")
    metadata = own_metadata(proto)

    asked: dict[str, Any] = {}  # of how many inputs or properties, from where

    def questions(checker: "Checker", found: "Certificate") -> "Mapping[int, Question]":
        if kind(found.questions) == "vnnlib":
            if data is not None or data_dir is not None or label is not None:
                raise InputError(f"{certificate} is about properties; give them with --vnnlib, and no data.")
            return property_questions(checker, found, vnnlib, certificate, asked)
        if vnnlib is not None:
            raise InputError(f"{certificate} is about labelled inputs; leave --vnnlib out.")
        return _inputs(checker, found, Given(data, data_dir, label), metadata, model, asked)

    if exact:
        from glscert.verifier.check.exact import check_exactly

        report = check_exactly(proto, packed, questions)
    else:
        report = check(proto, packed, questions)
    if as_json:
        render.print_json(report.as_json() | {"asked": asked, "seconds": time.monotonic() - began})
    else:
        _show(report, model, asked, time.monotonic() - began)
    raise typer.Exit(0 if report.accepted else 1)


def _inputs(
    checker: "Checker",
    certificate: "Certificate",
    given: Given,
    metadata: "Mapping[str, str]",
    model: Path,
    asked: dict[str, Any],
) -> "Mapping[int, Question]":
    """The questions of labelled inputs. Raises InputError where there are none, Refused where they are others."""
    from glscert.verifier.check.digest import data_digest
    from glscert.verifier.check.header import labelled_questions
    from glscert.verifier.check.refusal import Refused

    network = checker.network
    shape, outputs = network.input_shape[1:] or network.input_shape, network.sizes[network.output]
    inputs, source = given_inputs(given, metadata, model, shape, outputs, numbers=False)
    stated, found = certificate.questions.get("data"), data_digest(inputs.x, inputs.y)
    if stated != found:
        raise Refused(
            "header, data", f"it is of other inputs or labels: {str(stated)[:16]}…, {source} is {found[:16]}…."
        )
    asked.update(source=source, count=len(inputs.x))
    keys = [key for key, _ in certificate.answers]
    return labelled_questions(certificate.questions, network, inputs.x, inputs.y.tolist(), keys)


def property_questions(
    checker: "Checker", certificate: "Certificate", vnnlib: Path | None, path: Path, asked: dict[str, Any]
) -> "Mapping[int, Question]":
    """The questions of properties, those of the certificate among the files given."""
    import hashlib

    from glscert.verifier.check.network import INPUT
    from glscert.verifier.check.questions import stated
    from glscert.verifier.check.refusal import NotCovered, Refused
    from glscert.verifier.files import read_bytes
    from glscert.verifier.spec import read_query

    if vnnlib is None:
        raise InputError(f"{path} is about properties; give them with --vnnlib, a file or a folder.")
    network = checker.network
    if network.ending is not None:
        raise NotCovered(f"properties of a network that ends in {network.ending} are not covered.")
    properties = certificate.questions.get("properties")
    if not isinstance(properties, list) or not all(
        isinstance(own, dict) and isinstance(own.get("name"), str) and own["name"] == Path(own["name"]).name
        for own in properties
    ):
        raise Refused("header, questions", "its properties are no list of file names.")
    asked.update(source=vnnlib.name, count=len(properties))
    questions: dict[int, Question] = {}
    digests: dict[Path, str] = {}
    read: dict[Path, Question] = {}  # each file once, however often the certificate names it
    answered = {key for key, _ in certificate.answers}
    for key, own in enumerate(properties):
        if key not in answered:
            continue
        file = vnnlib / own["name"] if vnnlib.is_dir() else vnnlib
        if not file.is_file():
            raise InputError(f"{file} does not exist; the certificate is about {own['name']}.")
        if file not in digests:
            digests[file] = hashlib.sha256(read_bytes(file, MOST_BYTES, "property")).hexdigest()
        if digests[file] == own.get("sha256"):
            if file not in read:
                query = read_query(file, network.sizes[INPUT], network.sizes[network.output])
                read[file] = stated(query.clauses, query.inputs, query.outputs)
            questions[key] = read[file]
    return questions


def _show(report: "Report", model: Path, asked: dict[str, Any], seconds: float) -> None:
    counts = report.counts
    columns = ("asked", "answers", *counts, "seconds")
    row = (asked["count"], len(report.outcomes), *counts.values(), f"{seconds:.1f}")
    title = f"{model.name}, {asked['source']}, {_about(report)}in {report.arithmetic} arithmetic"
    render.results().print(render.table(title, columns, [row]))
    for sentence in report.assumptions:
        render.results().print(f"assumed: {sentence}.", markup=False)
    refused = [outcome for outcome in report.outcomes if outcome.status.value == "refused"]
    for outcome in refused[:_MOST_SHOWN]:
        render.results().print(f"refused: {outcome.place}: {outcome.why}", markup=False)
    if len(refused) > _MOST_SHOWN:
        render.results().print(f"and {len(refused) - _MOST_SHOWN} more; --json has all.", markup=False)


def _about(report: "Report") -> str:
    """The ball, of labelled inputs."""
    questions = report.questions
    if questions["kind"] == "vnnlib":
        return ""
    eps, low, high = ([float.fromhex(part) for part in questions[name]] for name in ("eps", "low", "high"))
    radius = render.radius(eps if len(eps) > 1 else eps[0])
    range_ = f"[{min(low):g}, {max(high):g}]"
    if len({*low}) > 1 or len({*high}) > 1:
        range_ += f" at the widest, [{max(low):g}, {min(high):g}] at the narrowest"
    return f"{render.norm(questions['norm'])} eps {radius} in {range_}, "
