"""`glscli gate`: a policy for models, held to what can be proved of them: the check before they are shipped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glscert.verifier.errors import GlscertError, InputError, MissingDataError

from . import render
from .output import check_place

if TYPE_CHECKING:
    from glscert.verifier.gate import Baseline, Entry, ModelReport, Report
    from glscert.verifier.run.jobs import Jobs

FILES = "Reports"
_MOST_NAMED = 20  # inputs of a line


def command(
    policy: Annotated[Path, typer.Argument(help="The policy, a TOML file: what must hold of which models.")],
    models: Annotated[
        list[Path] | None, typer.Argument(help="With --init: the ONNX files.", show_default=False)
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Write a commented policy for these models to begin with.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the data sets that the models name.", show_default="the policy's, else data"),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Verdicts of an earlier run: what lost its proof since counts.")
    ] = None,
    update_baseline: Annotated[
        bool,
        typer.Option("--update-baseline", help="Record this run's verdicts as the baseline; nothing is lost then."),
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="File for JUnit XML.", rich_help_panel=FILES)] = None,
    sarif: Annotated[Path | None, typer.Option(help="File for SARIF 2.1.0.", rich_help_panel=FILES)] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="File for a summary in Markdown.", rich_help_panel=FILES)
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that share the inputs, or properties.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Hold models to a policy: what must be proved of them, on which inputs or properties, and what may stay open.

    Every model of the policy is verified from its ONNX file as `glscli verify` does. Exit 0: policy met; 1: not met; 3:
    nothing missed, but more undecided than allowed; 2, 4, 5: a file of it could not be used. docs/gate.md has the
    policy's keys and a complete example.

    Example: glscli gate policy.toml --init model.onnx other.onnx

    Example: glscli gate policy.toml --junit gate.xml --sarif gate.sarif --markdown gate.md

    Example: glscli gate policy.toml --baseline baseline.json --update-baseline
    """
    if models and not init:
        raise InputError(f"{models[0]} goes with --init; the policy names its models itself.")
    if init:
        _init(policy, models or [])
        return
    if update_baseline and baseline is None:
        raise InputError("--update-baseline goes with --baseline FILE, which it writes.")
    for option, path in (("junit", junit), ("sarif", sarif), ("markdown", markdown), ("baseline", baseline)):
        if path is not None:
            check_place(option, path)
    from glscert.verifier.run.jobs import Jobs

    report = _run(policy, data_dir, baseline, update_baseline, Jobs(jobs))
    _write(report, junit, sarif, markdown)
    if as_json:
        render.print_json(report.as_json())
    else:
        _show(report)
    raise typer.Exit(report.exit_code)


def _run(policy: Path, data_dir: Path | None, baseline: Path | None, update: bool, jobs: "Jobs") -> "Report":
    from glscert.verifier.gate import Baseline, Report, read_policy
    from glscert.verifier.gate.judge import listing

    read = read_policy(policy)
    known = None
    if baseline is not None:
        known = Baseline(baseline, {}) if update and not baseline.exists() else Baseline.read(baseline)
    models = tuple(_judged(entry, data_dir, known, update, jobs) for entry in read.entries)
    if known is not None and update:
        for model in models:
            if model.verdicts is not None:
                known.update(model.entry.name, model.verdicts)
        known.save()
    return Report(read, listing(read), models)


def _judged(
    entry: "Entry", data_dir: Path | None, known: "Baseline | None", update: bool, jobs: "Jobs"
) -> "ModelReport":
    """What is wrong with one model is told with the others' verdicts."""
    from glscert.verifier.gate import ModelReport, judged

    from .gated import decided

    try:
        verdicts = decided(entry, data_dir, jobs)
        if known is None or (update and entry.name not in known.known):
            return ModelReport(entry, verdicts, judged(entry.limits, verdicts, None))
        compared = known.compared(entry.name, verdicts, anew=update)
    except MissingDataError as error:
        if entry.required:
            return ModelReport(entry, error=error)
        return ModelReport(entry, skipped=f"{str(error).rstrip('.')}; not required.")
    except GlscertError as error:
        return ModelReport(entry, error=error)
    counted = None if update or compared.remark else compared
    return ModelReport(entry, verdicts, judged(entry.limits, verdicts, counted), compared)


def _write(report: "Report", junit: Path | None, sarif: Path | None, markdown: Path | None) -> None:
    from glscert.verifier.files import replace_file

    if junit is not None:
        from glscert.verifier.gate.junit import junit as as_junit

        replace_file(junit, lambda file: file.write(as_junit(report)))
    if sarif is not None:
        from glscert.verifier.gate.sarif import sarif as as_sarif

        replace_file(sarif, lambda file: file.write(as_sarif(report)))
    if markdown is not None:
        from glscert.verifier.gate.markdown import markdown as as_markdown

        replace_file(markdown, lambda file: file.write(as_markdown(report).encode()))


def _show(report: "Report") -> None:
    """Names come from outside: they are no markup, and steer no terminal."""
    from rich.markup import escape

    from glscert.verifier.gate.keys import printable

    rows = [("", *each) for each in report.requirements]
    for model in report.models:
        rows += [(model.entry.name, *each) for each in model.requirements]
        if not model.requirements:
            rows.append((model.entry.name, "", "", "", model.state))
    cells = [[escape(printable(cell)) for cell in row] for row in rows]
    title = escape(printable(str(report.policy.path)))
    render.results().print(render.table(title, ("model", "requirement", "wanted", "found", "state"), cells))
    for model in report.models:
        for sentence in _said(model):
            render.results().print(printable(f"{model.entry.name}: {sentence}"), markup=False, soft_wrap=True)
    render.results().print(f"{report.verdict}, {report.seconds:.1f} s", markup=False)


def _said(model: "ModelReport") -> list[str]:
    """What the table does not say."""
    found = [str(model.error)] if model.error is not None else []
    found += [f"skipped, {model.skipped}"] if model.skipped else []
    if model.compared is not None and model.verdicts is not None:
        for word, changes in (("lost", model.compared.lost), ("won", model.compared.won)):
            named = ", ".join(f"{each.key} ({each.before} -> {each.after})" for each in changes[:_MOST_NAMED])
            more = f" and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
            found += [f"{len(changes)} {word}: {model.verdicts.what} {named}{more}"] if changes else []
        found += [model.compared.remark] if model.compared.remark else []
    return found


def _init(policy: Path, models: list[Path]) -> None:
    from glscert.verifier.gate.draft import draft

    if not models:
        raise InputError("--init writes a policy for models; name their ONNX files behind it.")
    if policy.exists():
        raise InputError(f"{policy} exists; --init writes a new file.")
    check_place("init", policy)
    from glscert.verifier.files import replace_file

    text = draft(policy, models)
    replace_file(policy, lambda file: file.write(text.encode()))
    render.logs().print(f"next: glscli gate {policy}, and raise min_certified to what it finds.", markup=False)
