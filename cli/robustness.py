"""Data-set mode of `glscli verify`: labelled inputs to verdicts, tables and JSON."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arithmetic, certificates, labelled, render
from .asked import say_what_is_asked
from .attested import Attested
from .interrupt import CODE, say_how_to_go_on, undisturbed
from .labelled import Asked, Request
from .output import Output

if TYPE_CHECKING:
    from glscert.verifier import Answer
    from glscert.verifier.answer.input_record import InputRecord
    from glscert.verifier.arithmetic import Arithmetic
    from glscert.verifier.run.jobs import Jobs
    from glscert.verifier.settings import Effort, Settings

SECONDS_BETWEEN_SAVES = 5.0


def run(
    model: Path,
    request: Request,
    effort: "Effort",
    kind: "Arithmetic",
    output: Output,
    jobs: "Jobs",
) -> int:
    """The exit code, after everything is printed and kept."""
    from glscert.verifier import load
    from glscert.verifier.answer.input_record import InputRecord
    from glscert.verifier.engine.threads import set_threads
    from glscert.verifier.run.labels import recheck

    output.check()
    attested = Attested(model, output.attestation, output.certificates)
    if effort.threads is not None:
        set_threads(effort.threads)
    network = load(model, arithmetic=kind)
    if output.verbose:
        arithmetic.say(network, jobs)
    subject = certificates.subject(network, output.certificates, effort)
    asked = labelled.asked(network, request, replace(effort, proofs=subject is not None))
    record = InputRecord(asked.header, asked.labels, output.out)
    recheck(network, asked.x, asked.labels, asked.settings, asked.first, record.entries, record.counterexamples)
    _remark(record, asked, request.images)
    say_what_is_asked(asked.task, asked.x)
    known: dict[int, Answer] = {}
    interrupted = not answer(asked, record, jobs, known=known)
    more: dict[str, Any] = {}
    if subject is not None and output.certificates is not None and not interrupted:
        found = certificates.of_inputs(record, known)
        written = subject.of_labelled(asked.inputs.x, asked.inputs.y, asked.task, asked.settings, found)
        more = certificates.write(output.certificates, written)
    with undisturbed():
        if output.as_json:
            render.print_json({**record.as_json(), **more})
        elif not interrupted:
            _show(record, model, asked.settings)
    if interrupted:
        say_how_to_go_on(len(record.entries), record.count, "inputs", output.out, output.certificates)
        return CODE
    code = _exit_code(record.summary(), request.min_certified)
    attested.write(record.as_json(), code, request.min_certified)
    return code


def answer(
    asked: Asked,
    record: "InputRecord",
    jobs: "Jobs",
    doing: str = "verifying",
    known: "dict[int, Answer] | None" = None,
) -> bool:
    """Verify what the record lacks; keep it on disk from the start on, now and then, at the end. False: interrupted.
    known: is given the answers, with their proofs."""
    from glscert.verifier.run.labels import robust

    network, x, y, first = asked.network, asked.x, asked.y, asked.first
    todo = [i for i, _ in enumerate(y) if first + i not in record.entries]
    began, before, saved = time.monotonic(), record.seconds, time.monotonic()
    record.save()  # a file that cannot be written is better known now
    finished, counts = False, record.counts()
    with render.progress(doing, max(1, len(todo))) as step:

        def keep(index: int, answer: "Answer") -> None:
            nonlocal saved
            record.tell(index, answer)
            if known is not None:
                known[index] = answer
            record.seconds = before + time.monotonic() - began
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                record.save()
                saved = time.monotonic()
            counts[record.entries[index]["verdict"]] += 1  # all anew for each would grow with the square of the inputs
            step(1, f"{counts['verified']} verified, {counts['falsified']} falsified, {counts['unknown']} unknown")

        try:
            robust(network, x[todo], y[todo], asked.settings, indices=[first + i for i in todo], report=keep, jobs=jobs)
            finished = True
        except KeyboardInterrupt:
            pass  # what is known by now is kept and told below
        finally:
            record.seconds = before + time.monotonic() - began
            with undisturbed():
                record.save()
    return finished


def _show(record: "InputRecord", model: Path, settings: "Settings") -> None:
    summary = record.summary()
    percent = {
        key: "-" if summary[key] is None else f"{100 * summary[key]:.2f} %"
        for key in summary
        if key.endswith("accuracy")
    }
    columns = ("images", "natural", "adversarial", "certified", "unknown", "seconds")
    row = (
        summary["images"],
        percent["natural_accuracy"],
        percent["adversarial_accuracy"],
        percent["certified_accuracy"],
        summary["unknown"],
        f"{summary['seconds']:.1f}",
    )
    within = "" if settings.tolerance is None else f", within {settings.tolerance:g}"
    title = f"{model.name}, {render.norm(settings.norm.value)} eps {render.radius(settings.eps)}{within}"
    render.results().print(render.table(title, columns, [row]))
    reasons: dict[str, int] = {}
    for image in record.entries.values():
        if image["verdict"] == "unknown":
            reason = image["reason"].split(", ")[0] if image["reason"].startswith("timeout") else image["reason"]
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        render.results().print(f"unknown: {count} × {reason}", markup=False)


def _exit_code(summary: dict[str, Any], min_certified: float | None) -> int:
    if min_certified is not None:
        return 0 if (summary["certified_accuracy"] or 0.0) >= min_certified else 1
    if summary["falsified"] or summary["misclassified"]:
        return 1
    return 3 if summary["unknown"] else 0


def _remark(record: "InputRecord", asked: Asked, images: str | None) -> None:
    """What is not seen in the verdicts: the column of labels, a slice cut off, numbers that are rounded, an earlier
    run's record."""
    said, inputs, source = list(record.remarks), asked.inputs, asked.source
    if inputs.label is not None:
        said.append(render.label_column(inputs.label, source))
    last = (images or "").partition(":")[2]
    if last and int(last) > len(inputs.x):
        said.append(f"--images {images} goes beyond the {len(inputs.x)} inputs of {source}; it ends with the last.")
    if inputs.moved:
        said.append(f"the columns of {source} are put in the network's order, by their names.")
    rounded = record.header["data"]["rounded"]
    if rounded:
        said.append(
            f"no float32 numbers: {rounded} of the inputs' entries; balls stand around them as they are given, and "
            "onnxruntime is fed the nearest float32."
        )
    for sentence in said:
        render.logs().print(sentence, markup=False)
