"""A report as SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).

A result for each requirement that is not met, and for each input or property that lost its proof, is falsified, or
stayed open, which is of kind "open". A model has no lines: a result's location is the model's table in the policy, its
analysis target the ONNX file. baselineState says what the comparison with a baseline says.
"""

import hashlib
from importlib.metadata import version
from typing import Any, NamedTuple

from ..answer.canonical import canonical
from ..files import sha256
from . import paths
from .judge import MET, OPEN, Requirement
from .report import ModelReport, Report
from .verdicts import FALSIFIED, UNKNOWN, Decided

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


class _Rule(NamedTuple):
    id: str
    name: str
    level: str
    short: str
    full: str


_MOST = 25_000  # results that GitHub takes of a run

_RULES = (
    _Rule(
        "requirement",
        "RequirementNotMet",
        "error",
        "A requirement of the policy is not met.",
        "A limit that the policy sets, on what is proved, natural, falsified, undecided or lost, does not hold.",
    ),
    _Rule(
        "lost",
        "ProofLost",
        "error",
        "What the baseline has as verified is not verified any more.",
        "It was proved when the baseline was recorded, and now is falsified, misclassified or undecided.",
    ),
    _Rule(
        "error",
        "NotVerified",
        "error",
        "A model or a property could not be used.",
        "The file cannot be read, or asks for something that is not supported.",
    ),
    _Rule(
        "falsified",
        "Falsified",
        "warning",
        "A counterexample was found.",
        "onnxruntime, on the file itself, confirmed a point of the region that does what must not happen.",
    ),
    _Rule(
        "unknown",
        "Undecided",
        "note",
        "Neither a proof nor a counterexample was found.",
        "The search ended, or its time did, before the question was decided.",
    ),
)
_PLACES = {rule.id: place for place, rule in enumerate(_RULES)}
_RULE_OF = {FALSIFIED: "falsified", UNKNOWN: "unknown", "error": "error"}


def sarif(report: Report) -> bytes:
    root = report.policy.root
    files = list(dict.fromkeys(paths.uri(model.entry.file, root) for model in report.models))
    digests = {paths.uri(each.entry.file, root): sha256(each.entry.file) for each in report.models if each.verdicts}
    writer = _Writer(paths.uri(report.policy.path, root), files, root)
    results = [writer.requirement(each, None) for each in report.requirements if each.state != MET]
    for model in report.models:
        results += writer.model(model)
    artifacts = [{"location": {"uri": file}, "roles": ["analysisTarget"]} for file in files]
    for artifact, file in zip(artifacts, files, strict=True):
        if file in digests:
            artifact["hashes"] = {"sha-256": digests[file]}
    results.sort(key=lambda result: int(result["ruleIndex"]))
    invocation: dict[str, Any] = {"executionSuccessful": report.exit_code in (0, 1, 3), "exitCode": report.exit_code}
    if len(results) > _MOST:
        said = (
            f"{len(results) - _MOST} of {len(results)} results are left out, the least severe; --json names them all."
        )
        invocation["toolExecutionNotifications"] = [{"level": "note", "message": {"text": said}}]
    run = {
        "tool": {"driver": _driver()},
        "automationDetails": {"id": f"glscli gate/{report.policy.path.name}/"},
        "invocations": [invocation],
        "artifacts": [*artifacts, {"location": {"uri": writer.policy}, "roles": ["policy"]}],
        "results": results[:_MOST],
    }
    return canonical({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}) + b"\n"


def _fingerprints(question: str) -> dict[str, str]:
    """Of a result, whatever the line it stands in. GitHub tells alerts apart by the second alone."""
    digest = hashlib.sha256(question.encode()).hexdigest()
    return {"glscertQuestion/v1": question, "primaryLocationLineHash": f"{digest[:16]}:1"}


def _driver() -> dict[str, Any]:
    rules = [
        {
            "id": rule.id,
            "name": rule.name,
            "shortDescription": {"text": rule.short},
            "fullDescription": {"text": rule.full},
            "defaultConfiguration": {"level": rule.level},
            "help": {"text": f"{rule.full} docs/gate.md says what to do next."},
        }
        for rule in _RULES
    ]
    own = version("glscert")
    return {"name": "glscert", "version": own, "semanticVersion": own, "rules": rules}


class _Writer:
    """policy: its URI. files: of the models, in the order of the run's artifacts."""

    def __init__(self, policy: str, files: list[str], root: Any) -> None:
        self.policy, self.files, self.root = policy, files, root

    def model(self, model: ModelReport) -> list[dict[str, Any]]:
        found = [self.requirement(each, model) for each in model.requirements if each.state != MET]
        if model.error is not None:
            found.append(self._result("error", str(model.error), model, "model"))
        if model.verdicts is None:
            return found
        before = {} if model.compared is None else {change.key: change for change in model.compared.lost}
        for one in model.verdicts.decided:
            if one.key in before:
                said = f"{model.verdicts.named(one.key)} lost its proof: it is {one.verdict} ({one.reason})."
                found.append(self._of(one, "lost", said, model) | {"baselineState": "new"})
            elif one.verdict in _RULE_OF:
                said = f"{model.verdicts.named(one.key)} is {one.verdict}: {one.reason}."
                found.append(self._of(one, _RULE_OF[one.verdict], said, model) | self._state(model))
        for change in () if model.compared is None else model.compared.lost:
            if change.after not in (FALSIFIED, UNKNOWN, "misclassified", "error"):
                said = f"{model.verdicts.named(change.key)} is {change.after}; it was verified."
                found.append(self._result("lost", said, model, change.key) | {"baselineState": "new"})
        return found

    def requirement(self, requirement: Requirement, model: ModelReport | None) -> dict[str, Any]:
        said = f"{requirement.name}: {requirement.found}, wanted {requirement.wanted}."
        found = self._result("requirement", said, model, requirement.name)
        return found | ({"kind": "open", "level": "none"} if requirement.state == OPEN else {})

    def _state(self, model: ModelReport) -> dict[str, str]:
        """What is falsified or open and was no proof before: unchanged, where there is a baseline that has it."""
        known = model.compared is not None and not model.compared.remark
        return {"baselineState": "unchanged"} if known else {}

    def _of(self, one: Decided, rule: str, said: str, model: ModelReport) -> dict[str, Any]:
        found = self._result(rule, said, model, one.key)
        return found | ({"kind": "open", "level": "none"} if one.verdict == UNKNOWN and rule == "unknown" else {})

    def _result(self, rule: str, said: str, model: ModelReport | None, key: str) -> dict[str, Any]:
        text = said if model is None else f"{model.entry.name}: {said}"
        name = "policy" if model is None else model.entry.name
        place = {"artifactLocation": {"uri": self.policy, "index": len(self.files)}}
        place["region"] = {"startLine": max(1, 1 if model is None else model.entry.line)}
        found: dict[str, Any] = {
            "ruleId": rule,
            "ruleIndex": _PLACES[rule],
            "kind": "fail",
            "level": _RULES[_PLACES[rule]].level,
            "message": {"text": text},
            "locations": [
                {"physicalLocation": place, "logicalLocations": [{"name": key, "fullyQualifiedName": f"{name}/{key}"}]}
            ],
            "partialFingerprints": _fingerprints(f"{rule}/{name}/{key}"),
        }
        if model is not None:
            uri = paths.uri(model.entry.file, self.root)
            found["analysisTarget"] = {"uri": uri, "index": self.files.index(uri)}
        return found
