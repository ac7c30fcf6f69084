"""`glscli verify MODEL --vnnlib FILE|FOLDER`: properties to answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from glscert.verifier.errors import GlscertError, InputError

from . import arithmetic, certificates, clock, kept, render
from .attested import Attested
from .interrupt import CODE, say_how_to_go_on, undisturbed
from .output import Output

if TYPE_CHECKING:
    from glscert.verifier import Answer, Network
    from glscert.verifier.answer.query_record import QueryRecord
    from glscert.verifier.arithmetic import Arithmetic
    from glscert.verifier.run.jobs import Jobs
    from glscert.verifier.settings import Effort

SUFFIXES = (".vnnlib", ".vnnlib.gz")
EXIT_CODES = {"unsat": 0, "sat": 1, "unknown": 3, "timeout": 3}
_MOST_SHOWN, _MOST_NAMED = 40, 8  # numbers of a witness on the terminal; inputs in a sentence


def run_queries(
    model: Path,
    vnnlib: Path,
    effort: "Effort",
    kind: "Arithmetic",
    output: Output,
    jobs: "Jobs",
) -> int:
    """The exit code. A single property has the process's time, each of a folder its own share of the work."""
    from glscert.verifier.answer.query_record import QueryRecord

    began, paths = clock.began(), properties(vnnlib)
    out, result_file = output.out, output.result_file
    if result_file is not None and vnnlib.is_dir():
        raise InputError("--result-file holds one answer; with a folder use --out FILE.json.")
    output.check()
    attested = Attested(model, output.attestation, output.certificates)
    network = opened(model, paths[0], effort, kind)
    subject = certificates.subject(network, output.certificates, effort)
    effort = replace(effort, proofs=subject is not None)
    if output.verbose:
        arithmetic.say(network, jobs)
    header = kept.header(model, network, effort)
    record = QueryRecord(header, {path.name: kept.digest(path) for path in paths}, out)
    for remark in record.remarks:
        render.logs().print(remark, markup=False)
    todo, known = kept.still_open(record, paths, network)
    for path, answer in known.items():
        if result_file is not None:
            _write_result(result_file, path, answer)
    alone = None if vnnlib.is_dir() else began
    errors, interrupted = _run(network, todo, effort, record, known, began=alone, result_file=result_file, jobs=jobs)
    more: dict[str, Any] = {}
    if subject is not None and output.certificates is not None and not interrupted:
        written = subject.of_properties(paths, certificates.of_queries(record, paths, known))
        more = certificates.write(output.certificates, written)
    with undisturbed():
        record.save()
        if output.as_json:
            render.print_json({**record.as_json(), **more})
        elif not interrupted:
            _show(record, paths)
    if interrupted:
        done = sum(path.name in record.entries for path in paths)
        say_how_to_go_on(done, len(paths), "properties", out, output.certificates)
        return CODE
    verdicts = [record.entries[path.name]["verdict"] for path in paths]
    code = _exit_code(verdicts, [errors[path] for path in paths if path in errors])
    attested.write(record.as_json(), code)
    return code


def _run(
    network: "Network",
    todo: list[Path],
    effort: "Effort",
    record: "QueryRecord",
    known: "dict[Path, Answer]",
    *,
    began: float | None,
    result_file: Path | None,
    jobs: "Jobs",
) -> tuple[dict[Path, GlscertError], bool]:
    """Answers what the record lacks, and keeps it as it comes. Returns what is wrong with properties of a folder, and
    whether Ctrl-C came first. began: of the time of a single one. known: all answers, with the proofs of this run."""
    errors: dict[Path, GlscertError] = {}
    try:
        for path, found in answered(network, todo, effort, began=began, jobs=jobs):
            if isinstance(found, GlscertError):
                if began is not None:
                    raise found
                errors[path] = found
            record.tell(path.name, found)
            if isinstance(found, GlscertError):
                continue
            known[path] = found
            tell_nearest(path, found)
            if result_file is not None:
                _write_result(result_file, path, found)
    except KeyboardInterrupt:
        return errors, True
    return errors, False


def opened(model: Path, first: Path, effort: "Effort", kind: "Arithmetic") -> "Network":
    """The network that properties such as `first` are asked of."""
    from glscert.verifier import load
    from glscert.verifier.engine.threads import set_threads
    from glscert.verifier.spec import count_inputs

    if effort.threads is not None:
        set_threads(effort.threads)
    return load(model, count_inputs(first), kind)


def answered(
    network: "Network", paths: list[Path], effort: "Effort", *, began: float | None = None, jobs: "Jobs | None" = None
) -> "Iterator[tuple[Path, Answer | GlscertError]]":
    """The properties with their answers, or what is wrong with them, as they come. began: of the time of a single one;
    each of several has the time of the work on it."""
    from glscert.verifier.run.jobs import Jobs
    from glscert.verifier.run.queries import answered

    name = paths[0].name if len(paths) == 1 else f"{len(paths)} properties"
    with _progress(name) as progress:
        told = answered(network, paths, effort, began=began, progress=progress, jobs=jobs or Jobs())
        for count, (place, found) in enumerate(told, 1):
            if progress is not None and len(paths) > 1:
                progress(f"{count} decided")
            if not isinstance(found, GlscertError) and found.remark:
                render.logs().print(f"{paths[place].name}: {found.remark}", markup=False)
            yield paths[place], found


def tell_nearest(path: Path, answer: "Answer") -> None:
    """On stderr, for which inputs the nearest float32 number stands."""
    if not answer.nearest:
        return
    some, more = answer.nearest[:_MOST_NAMED], len(answer.nearest) - _MOST_NAMED
    named = ", ".join(f"X_{index}" for index in some) + (f" and {more} more" if more > 0 else "")
    render.logs().print(
        f"{path.name}: no float32 number lies between the bounds of {named}: the nearest stands for it, in a witness "
        "that the exact number confirms, and a proof covers both.",
        markup=False,
    )


def _write_result(path: Path, property: Path, answer: "Answer") -> None:
    """VNN-COMP's result file: the answer, and a witness in the way of the property's version."""
    from glscert.verifier.files import replace_file
    from glscert.verifier.spec import assignment, read_signature

    text = f"{answer.verdict.word}\n"
    if answer.witness is not None:
        text += assignment(read_signature(property), answer.witness.x, answer.witness.y)
    replace_file(path, lambda file: file.write(text.encode()))


@contextmanager
def _progress(name: str) -> Iterator[Callable[[str], None] | None]:
    """On a terminal a line that says what is being done."""
    console = render.logs()
    if not console.is_terminal:
        yield None
        return
    with console.status(name) as status:
        yield lambda message: status.update(f"{name}: {message}")


def properties(vnnlib: Path) -> list[Path]:
    if not vnnlib.is_dir():
        if not vnnlib.is_file():
            raise InputError(f"cannot read {vnnlib}: no such file or folder. Give a VNN-LIB file, or a folder of them.")
        return [vnnlib]
    paths = sorted(path for path in vnnlib.iterdir() if path.name.endswith(SUFFIXES))
    if not paths:
        raise InputError(f"{vnnlib} holds no file that ends in {' or '.join(SUFFIXES)}.")
    return paths


def _show(record: "QueryRecord", paths: list[Path]) -> None:
    results = [record.entries[path.name] for path in paths]
    if len(results) > 1:
        rows = [(r["property"], r["verdict"], f"{r['seconds']:.2f}", r["reason"]) for r in results]
        render.results().print(render.table("", ("property", "answer", "seconds", "why"), rows))
        return
    (only,) = results
    typer.echo(f"{only['verdict']}: {only['reason']} ({only['seconds']:.2f} s)")
    if only["witness"] is not None:
        x, y = only["witness"]["x"], only["witness"]["y"]
        if len(x) + len(y) > _MOST_SHOWN:
            typer.echo(f"witness of {len(x)} inputs: --json prints it, --result-file and --out keep it.")
        else:
            from glscert.verifier.spec import assignment, read_signature

            typer.echo(assignment(read_signature(paths[0]), x, y), nl=False)


def _exit_code(verdicts: list[str], errors: list[GlscertError]) -> int:
    if "sat" in verdicts:
        return EXIT_CODES["sat"]
    if errors:
        return errors[0].exit_code
    return max((EXIT_CODES[verdict] for verdict in verdicts), default=0)
