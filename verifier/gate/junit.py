"""A report as JUnit XML: a suite for each model, a case for each requirement.

Elements and attributes are those that the common readers agree on (testsuites, testsuite, properties, testcase,
failure, error, skipped, system-out): https://github.com/testmoapp/junitxml. Undecided is a failure of that type.
"""

import re
from xml.etree import ElementTree as xml

from .judge import BROKEN, MET, Requirement
from .report import ModelReport, Report

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # of XML 1.0's characters


def junit(report: Report) -> bytes:
    root = xml.Element("testsuites", name="glscli gate", time=f"{report.seconds:.3f}")
    if report.requirements:
        _filled(root, "policy", 0.0, [_case("policy", each) for each in report.requirements])
    for model in report.models:
        _model(root, model)
    for kind in ("tests", "failures", "errors", "skipped"):
        root.set(kind, str(sum(int(suite.get(kind, 0)) for suite in root)))
    xml.indent(root)
    return xml.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _model(root: xml.Element, model: ModelReport) -> None:
    verdicts, name = model.verdicts, _text(model.entry.name)
    cases = [_case(name, each) for each in model.requirements]
    if model.error is not None:
        cases.append(_told(name, "verified", "error", str(model.error), type(model.error).__name__))
    if model.skipped:
        cases.append(_told(name, "verified", "skipped", model.skipped))
    suite = _filled(root, name, 0.0 if verdicts is None else verdicts.seconds, cases)
    if verdicts is None:
        return
    known = {"file": model.entry.file, "sha256": verdicts.sha256, "source": verdicts.source, **verdicts.counts}
    properties = xml.Element("properties")
    suite.insert(0, properties)
    for key, value in (known | verdicts.about).items():
        xml.SubElement(properties, "property", name=key, value=_text(str(value)))
    changes = [] if model.compared is None else [*model.compared.lost, *model.compared.won]
    if changes:
        lines = [f"{verdicts.named(change.key)}: {change.before} -> {change.after}" for change in changes]
        xml.SubElement(suite, "system-out").text = _text("\n".join(lines))


def _filled(root: xml.Element, name: str, seconds: float, cases: list[xml.Element]) -> xml.Element:
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    numbers = {kind: str(sum(case.find(tag) is not None for case in cases)) for kind, tag in counts.items()}
    attributes = {"name": name, "tests": str(len(cases)), **numbers, "time": f"{seconds:.3f}"}
    suite = xml.SubElement(root, "testsuite", attributes)
    suite.extend(cases)
    return suite


def _case(suite: str, requirement: Requirement) -> xml.Element:
    if requirement.state == MET:
        return xml.Element("testcase", classname=suite, name=requirement.name, time="0")
    tag = "error" if requirement.state == BROKEN else "failure"
    said = f"{requirement.name}: {requirement.found}, wanted {requirement.wanted}"
    return _told(suite, requirement.name, tag, said, requirement.state)


def _told(suite: str, name: str, tag: str, said: str, kind: str = "") -> xml.Element:
    case = xml.Element("testcase", classname=suite, name=name, time="0")
    found = xml.SubElement(case, tag, message=_text(said))
    if kind:
        found.set("type", kind)
        found.text = _text(said)
    return case


def _text(said: str) -> str:
    """What XML 1.0 has no characters for is replaced."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", said)
