"""A record as an in-toto statement, for others to sign.

https://github.com/in-toto/attestation: statement v1; predicate test-result v0.1 (`spec/predicates/test-result.md`):
`configuration` is what was asked, `passedTests` what is proved, `warnedTests` what stayed open, and `failedTests` the
rest; `result` is the exit code's. Its extension field `EXTENSION` has the numbers. A test is a property's file, or a
run of inputs such as "mnist test 0:17", the last left out. The same verdicts give the same bytes: no times are in it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from .canonical import canonical

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
EXTENSION = "pkg:pypi/glscert#verification/v1"
INPUTS = "glscertInputs"  # digest of inputs and labels as numbers (`record.digest`), in lowercase hexadecimal digits
_RESULTS = {0: "PASSED", 3: "WARNED"}
_TESTS = {
    "verified": "passedTests",
    "unsat": "passedTests",
    "unknown": "warnedTests",
    "timeout": "warnedTests",
}


def statement(
    name: str,
    sha256: str,
    record: Mapping[str, Any],
    exit_code: int,
    min_certified: float | None = None,
    certificate: str | None = None,
) -> bytes:
    """name, sha256: of the ONNX file as it lies there. record: of labelled inputs or of properties, as JSON has it.
    min_certified: the policy that the exit code is about, if any. certificate: SHA-256 of the file with the proofs,
    where there is one."""
    labelled = "images" in record
    tests: dict[str, list[str]] = {kind: [] for kind in ("passedTests", "warnedTests", "failedTests")}
    for kind, named in _ranges(record) if labelled else _named(record):
        tests[kind].append(named)
    found: dict[str, Any] = {
        "tool": record["versions"],
        "modelSha256": record["model"]["sha256"],  # unpacked, with the weights beside it
        "arithmetic": record["settings"]["arithmetic"],
        "settings": record["settings"],
        "counts": {key: value for key, value in record["summary"].items() if key != "seconds"},
        "exitCode": exit_code,
    }
    if labelled:
        found["question"] = record["property"]
    if min_certified is not None:
        found["policy"] = {"minCertified": min_certified}
    if certificate is not None:
        found["certificate"] = {"digest": {"sha256": certificate}}
    predicate = {
        "result": _RESULTS.get(exit_code, "FAILED"),
        "configuration": _configuration(record),
        **tests,
        EXTENSION: found,
    }
    subject = [{"name": name, "digest": {"sha256": sha256}}]
    whole = {"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, "predicate": predicate}
    return canonical(whole) + b"\n"


def _configuration(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Resource descriptors of what was asked."""
    if "images" not in record:
        return [{"name": each["property"], "digest": {"sha256": each["sha256"]}} for each in record["results"]]
    data = record["data"]
    named = f"{data['source']} {data['first']}:{data['last']}"
    return [{"name": named, "digest": {INPUTS: data["sha256"]}}]


def _named(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return ((_kind(each["verdict"]), each["property"]) for each in record["results"])


def _ranges(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Neighbours of one kind together."""
    source, first, last, kind = record["data"]["source"], 0, 0, ""
    for each in record["images"]:
        index, own = each["index"], _kind(each["verdict"])
        if own != kind or index != last:
            if kind:
                yield kind, f"{source} {first}:{last}"
            first, kind = index, own
        last = index + 1
    if kind:
        yield kind, f"{source} {first}:{last}"


def _kind(verdict: str) -> str:
    return _TESTS.get(verdict, "failedTests")
