"""`glscli verify MODEL --vnnlib FILE|FOLDER`: properties to answers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from glscert.verifier.errors import GlscertError, InputError

from . import clock, kept, render

if TYPE_CHECKING:
    from glscert.verifier.answers import Answers
    from glscert.verifier.decision import Decision
    from glscert.verifier.network import Network
    from glscert.verifier.settings import Effort
    from glscert.verifier.spec import Query

SUFFIXES = (".vnnlib", ".vnnlib.gz")
EXIT_CODES = {"unsat": 0, "sat": 1, "unknown": 3, "timeout": 3}
_MOST_SHOWN, _MOST_NAMED = 40, 8  # numbers of a witness on the terminal; inputs in a sentence
_GLANCE, _GRACE = 0.25, 0.4  # seconds: of the first looks at all properties, and for the search to end on its own
_ENDS, _READ = 4 * 8, 0.25  # bytes of a clause for each input; the part of memory for properties that wait


def run_queries(
    model: Path,
    vnnlib: Path,
    effort: "Effort",
    *,
    out: Path | None,
    result_file: Path | None,
    as_json: bool,
) -> int:
    """The exit code. A single property has the process's time, each of a folder its own share of the work."""
    from glscert.verifier.answers import Answers
    from glscert.verifier.record import check_target

    began, paths = clock.began(), _properties(vnnlib)
    if result_file is not None:
        if vnnlib.is_dir():
            raise InputError("--result-file holds one answer; with a folder use --out FILE.json.")
        if not result_file.parent.is_dir():
            raise InputError(f"{result_file.parent} is not a folder; --result-file lies in a folder that exists.")
    if out is not None:
        check_target(out)
    subject = Subject(model, paths[0])
    answers = Answers(kept.header(model, subject.runtime.sha256, effort.timeout, effort.seed), out)
    for remark in answers.remarks:
        render.logs().print(remark, markup=False)
    digests = {path: kept.digest(path) for path in paths}
    todo, known = kept.still_open(answers, digests, subject.model, subject.runtime)
    for path, decision in known.items():
        if result_file is not None:
            _write_result(result_file, path, decision)
    errors: dict[Path, GlscertError] = {}
    interrupted = False
    try:
        for path, found in answered(subject, todo, effort, began=None if vnnlib.is_dir() else began):
            if isinstance(found, GlscertError):
                if not vnnlib.is_dir():
                    raise found
                errors[path] = found
            entry = kept.refused(found) if isinstance(found, GlscertError) else kept.entry(found)
            answers.add({"property": path.name, "sha256": digests[path], **entry})
            if isinstance(found, GlscertError):
                continue
            tell_nearest(path, found)
            if result_file is not None:
                _write_result(result_file, path, found)
    except KeyboardInterrupt:
        interrupted = True
    answers.save(complete=not interrupted)
    if as_json:
        render.print_json(answers.as_json(complete=not interrupted))
    elif not interrupted:
        _show(answers, paths)
    if interrupted:
        where = f", kept in {out}; the same command goes on from there" if out else "; --out keeps them"
        render.logs().print(f"stopped: {len(answers.results)} of {len(paths)} properties done{where}.", markup=False)
        return 130
    verdicts = [answers.results[path.name]["verdict"] for path in paths]
    return _exit_code(verdicts, [errors[path] for path in paths if path in errors])


class Subject:
    """A model file that properties are asked of, such as `first`; torch is loaded once a property needs it."""

    def __init__(self, path: Path, first: Path) -> None:
        from glscert.verifier.graph import load_model
        from glscert.verifier.graph.read import read_model
        from glscert.verifier.replay import opened
        from glscert.verifier.spec import count_inputs

        file = read_model(path)
        self.model = load_model(file, count_inputs(first))
        self.runtime = opened(file, self.model.graph)

    @cached_property
    def network(self) -> "Network":
        from glscert.verifier.network import prepared

        return prepared(self.model, self.runtime)


class _Asked(NamedTuple):
    """A property that is to be searched, and the seconds that its reading and a first look took."""

    path: Path
    query: "Query"
    seconds: float


def answered(
    subject: Subject, paths: list[Path], effort: "Effort", *, began: float | None = None
) -> Iterator[tuple[Path, "Decision | GlscertError"]]:
    """The properties with their answers, or what is wrong with them, as they come: from a glance where that suffices,
    else from a search over many together; timeout where it does not end. began: of the time of a single one; each of
    several has the time of the work on it."""
    asked: list[_Asked] = []
    for path in paths:
        start = time.perf_counter() if began is None else began
        found = _first_look(subject, path, effort, start, _GLANCE / len(paths))
        if not isinstance(found, _Asked):
            yield path, found
            continue
        asked.append(found)
        if _ENDS * sum(len(each.query.clauses) for each in asked) * found.query.inputs > effort.memory * _READ:
            yield from _searched(subject, asked, effort)
            asked = []
    if asked:
        yield from _searched(subject, asked, effort)


def _first_look(
    subject: Subject, path: Path, effort: "Effort", began: float, seconds: float
) -> "_Asked | Decision | GlscertError":
    from glscert.verifier.decision import Answer, Decision
    from glscert.verifier.glance import glance
    from glscert.verifier.spec import check_readable, read_query

    end, graph = began + effort.timeout, subject.model.graph
    shape, (logits,) = graph.input_shape, graph.output_shape
    try:
        with clock.alarm(max(0.0, end - time.perf_counter()) + _GRACE):
            query = read_query(path, prod(shape), graph.answers, graph.held)
        check_readable(query, graph.ending, logits)
        _warn(path, query)
    except clock.OutOfTime:
        reason = f"timeout after {effort.timeout:g} s, while the property was read"
        return Decision(Answer.TIMEOUT, reason, time.perf_counter() - began)
    except GlscertError as error:
        return error
    seconds = min(seconds, max(0.0, end - time.perf_counter()))
    witness = glance(subject.runtime, shape, query, seed=effort.seed, seconds=seconds)
    spent = time.perf_counter() - began
    if witness is None:
        return _Asked(path, query, spent)
    return Decision(Answer.SAT, "random points", spent, witness, nearest=query.nearest)


def _warn(path: Path, query: "Query") -> None:
    """A case without a condition on outputs is sat by any input of its box, or any that its comparisons of inputs
    hold of, whatever the network."""
    free = [clause for clause in query.clauses if not any(row.terms for row in clause.rows)]
    if free:
        part = "it" if len(free) == len(query.clauses) else f"{len(free)} of its {len(query.clauses)} cases"
        which = "that fulfils its comparisons" if any(clause.rows for clause in free) else "of its box"
        render.logs().print(
            f"{path.name}: {part} states no condition on the outputs, so any input {which} is sat: it says nothing "
            "about the network.",
            markup=False,
        )


def _searched(
    subject: Subject, asked: list[_Asked], effort: "Effort"
) -> Iterator[tuple[Path, "Decision | GlscertError"]]:
    from glscert.verifier.decision import Answer, Decision

    began, reason = time.perf_counter(), f"timeout after {effort.timeout:g} s"
    if all(each.seconds >= effort.timeout for each in asked):
        for each in asked:
            yield each.path, Decision(Answer.TIMEOUT, reason, each.seconds)
        return
    from glscert.verifier import decide

    network = subject.network  # outside the alarm, which would leave torch half loaded
    loading = (time.perf_counter() - began) / len(asked)
    spent = [each.seconds + loading for each in asked]
    timeouts = [max(0.0, effort.timeout - seconds) for seconds in spent]
    left = dict(enumerate(asked))
    with _progress(asked[0].path.name if len(asked) == 1 else f"{len(asked)} properties") as progress:
        queries = [each.query for each in asked]
        answers = decide.decide_many(network, queries, effort, timeouts=timeouts, progress=progress)
        while left:
            began = time.perf_counter()
            try:
                with clock.alarm(sum(timeouts[place] for place in left) + _GRACE):
                    place, found = next(answers)
            except clock.OutOfTime:
                break
            if not isinstance(found, GlscertError):
                found = replace(found, seconds=spent[place] + found.seconds)
            yield left.pop(place).path, found
    share = (time.perf_counter() - began) / max(1, len(left))
    for place, each in left.items():
        yield each.path, Decision(Answer.TIMEOUT, reason, spent[place] + share, nearest=each.query.nearest)


def tell_nearest(path: Path, decision: "Decision") -> None:
    """On stderr, for which inputs the nearest float32 number stands."""
    if not decision.nearest:
        return
    some, more = decision.nearest[:_MOST_NAMED], len(decision.nearest) - _MOST_NAMED
    named = ", ".join(f"X_{index}" for index in some) + (f" and {more} more" if more > 0 else "")
    render.logs().print(
        f"{path.name}: no float32 number lies between the bounds of {named}: the nearest stands for it, in a witness "
        "that the exact number confirms, and a proof covers both.",
        markup=False,
    )


def _write_result(path: Path, property: Path, decision: "Decision") -> None:
    """VNN-COMP's result file: the answer, and a witness in the way of the property's version."""
    from glscert.verifier.files import replace_file
    from glscert.verifier.spec import assignment, read_signature

    text = f"{decision.verdict.value}\n"
    if decision.witness is not None:
        text += assignment(read_signature(property), *decision.witness)
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


def _properties(vnnlib: Path) -> list[Path]:
    if not vnnlib.is_dir():
        if not vnnlib.is_file():
            raise InputError(f"cannot read {vnnlib}: no such file or folder. Give a VNN-LIB file, or a folder of them.")
        return [vnnlib]
    paths = sorted(path for path in vnnlib.iterdir() if path.name.endswith(SUFFIXES))
    if not paths:
        raise InputError(f"{vnnlib} holds no file that ends in {' or '.join(SUFFIXES)}.")
    return paths


def _show(answers: "Answers", paths: list[Path]) -> None:
    results = [answers.results[path.name] for path in paths]
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
