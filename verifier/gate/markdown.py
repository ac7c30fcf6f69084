"""A report as Markdown, for a pull request or a job's summary."""

import re
from html import escape

from .baseline import Change
from .judge import MET, Requirement
from .keys import printable
from .report import ModelReport, Report
from .verdicts import Verdicts

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~@:-])")
_MOST_NAMED = 50
_SIGNS = {MET: "✅", "missed": "❌", "undecided": "❔", "error": "⚠️", "skipped": "⏭️"}


def markdown(report: Report) -> str:
    """Text from outside (names, reasons) is escaped: it can neither break the table nor link anywhere."""
    sign = "✅" if report.exit_code == 0 else "❌"
    lines = [f"### {sign} glscert gate: {report.verdict}", "", f"{escaped(str(report.policy.path))}", ""]
    lines += ["| model | requirement | wanted | found | |", "|---|---|--:|--:|:-:|"]
    lines += [_row("", each) for each in report.requirements]
    for model in report.models:
        lines += [_row(model.entry.name, each) for each in model.requirements]
        if model.error is not None or model.skipped:
            said = escaped(str(model.error) if model.error is not None else model.skipped)
            lines.append(f"| {escaped(model.entry.name)} | {model.state} | | {said} | {_SIGNS[model.state]} |")
    for model in report.models:
        lines += _details(model)
    return "\n".join(lines) + "\n"


def escaped(said: str) -> str:
    """On one line, no character of it Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", escape(" ".join(printable(said).split()), quote=False))


def _row(name: str, requirement: Requirement) -> str:
    cells = (name, requirement.name, requirement.wanted, requirement.found)
    return f"| {' | '.join(escaped(cell) for cell in cells)} | {_SIGNS[requirement.state]} |"


def _details(model: ModelReport) -> list[str]:
    verdicts, compared, lines = model.verdicts, model.compared, list[str]()
    if verdicts is None:
        return lines
    if compared is not None:
        for word, changes in (("lost", compared.lost), ("won", compared.won)):
            if changes:
                lines += ["", f"**{escaped(model.entry.name)}: {len(changes)} {word}**", ""]
                lines += _named(verdicts, changes)
        if compared.remark:
            lines += ["", f"{escaped(model.entry.name)}: {escaped(compared.remark)}"]
    return lines


def _named(verdicts: Verdicts, changes: tuple[Change, ...]) -> list[str]:
    shown = [
        f"- {escaped(verdicts.named(change.key))}: {change.before} → {change.after}" for change in changes[:_MOST_NAMED]
    ]
    more = len(changes) - len(shown)
    return shown + ([f"- and {more} more"] if more else [])
