"""Instances of the verification competitions: one process of `glscli verify` each, its answer against the known truth.

    python benchmarks/vnncomp.py --root ../shared/benchmarks/vnncomp --timeout 60 --threads 2 --sample 40 --seed 1

The root holds a manifest.csv with the columns category, onnx, vnnlib and truth (sat, unsat or open). Seconds are those
of the whole process, peak memory its own resident set; what comes later than the time allowed counts as timeout, and
ten seconds past it the process is killed. Every witness is run again in onnxruntime here and must fulfil the property
exactly, or its sat counts as wrong. With --out, what an earlier run measured under the same options is taken from the
file.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import vnncomp_instances
from markdown import put, table
from vnncomp_instances import Instance

COLUMNS = ("category", "instances", "decided", "of known truth", "wrong", "median s", "p90 s", "peak MiB")


class Result(NamedTuple):
    """What one process answered: verdict sat, unsat, unknown, timeout or error, and what decided or went wrong."""

    category: str
    onnx: str
    vnnlib: str
    truth: str
    verdict: str
    reason: str
    seconds: float
    mebibytes: float
    wrong: str  # why it is; empty where it is not known to be

    @property
    def decided(self) -> bool:
        return self.verdict in ("sat", "unsat")


def measure(root: Path, instance: Instance, timeout: float, threads: int, arithmetic: str) -> Result:
    said, seconds, mebibytes = vnncomp_instances.run(root, instance, timeout, threads, arithmetic)
    verdict, wrong = said["verdict"], ""
    if verdict in ("sat", "unsat") and instance.truth in ("sat", "unsat") and verdict != instance.truth:
        wrong = f"{verdict}, the truth is {instance.truth}"
    if verdict == "sat":
        wrong = vnncomp_instances.objection(root, instance, said["witness"]) or wrong
    reason = said["reason"]
    if seconds > timeout and verdict in ("sat", "unsat", "unknown"):
        verdict, reason = "timeout", f"{verdict}, but too late"
    return Result(*instance, verdict, reason, round(seconds, 2), round(mebibytes, 1), wrong)


def summary(name: str, results: list[Result]) -> dict[str, Any]:
    known = [result for result in results if result.truth != "open"]
    seconds = sorted(result.seconds for result in results)
    return {
        "category": name,
        "instances": len(results),
        "decided": sum(result.decided for result in results),
        "known": len(known),
        "known_decided": sum(result.decided and not result.wrong for result in known),
        "wrong": sum(bool(result.wrong) for result in results),
        "median_seconds": round(statistics.median(seconds), 2),
        "p90_seconds": seconds[-(-9 * len(seconds) // 10) - 1],
        "peak_mebibytes": round(max(result.mebibytes for result in results)),
    }


def summaries(results: list[Result]) -> list[dict[str, Any]]:
    names = sorted({result.category for result in results})
    rows = [summary(name, [result for result in results if result.category == name]) for name in names]
    return [*rows, summary("all", results)]


def row(found: dict[str, Any]) -> list[str]:
    share = f"{found['known_decided']}/{found['known']}"
    if found["known"]:
        share += f" ({100 * found['known_decided'] / found['known']:.1f} %)"
    texts = [str(found[key]) for key in ("category", "instances", "decided")]
    times = [f"{found[key]:.1f}" for key in ("median_seconds", "p90_seconds")]
    return [*texts, share, str(found["wrong"]), *times, str(found["peak_mebibytes"])]


def lines(results: list[Result]) -> list[str]:
    """The table, and below it what deserves a look."""
    text = table(COLUMNS, map(row, summaries(results)), left=1)
    text += listed("Wrong", (f"{where(r)}: {r.wrong}" for r in results if r.wrong))
    proved = (f"{where(r)}: {r.verdict} in {r.seconds:.0f} s, {r.reason}" for r in results if decides_an_open_one(r))
    text += listed("Decided though nobody knew the answer", proved)
    refusals = Counter(f"{r.category}: {r.reason[:200]}" for r in results if r.verdict == "error")
    text += listed("Refused or failed", (f"{count} × {reason}" for reason, count in refusals.most_common()))
    return text


def listed(title: str, items: Iterable[str]) -> list[str]:
    found = list(items)
    return ["", f"{title} ({len(found)}):", "", *(f"- {item}" for item in found)] if found else []


def where(result: Result) -> str:
    return f"{result.category} {Path(result.onnx).name} {Path(result.vnnlib).name}"


def decides_an_open_one(result: Result) -> bool:
    return result.truth == "open" and result.decided


def earlier(path: Path | None, options: dict[str, Any]) -> dict[tuple[str, str], Result]:
    """Results of the file that were measured under the same options, by network and property."""
    if path is None or not path.exists():
        return {}
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    same = (entry for entry in entries if {key: entry.pop(key, None) for key in options} == options)
    return {(entry["onnx"], entry["vnnlib"]): Result(**entry) for entry in same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, help="so many instances, drawn by --seed; default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arithmetic", default="real", help="of proofs, as the command has it: real or float32")
    parser.add_argument("--categories", nargs="+", help="as acasxu, or 2022/acasxu; default all")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    parser.add_argument("--out", type=Path, help="a line of JSON for each result; a stopped run goes on from it")
    parser.add_argument("--table", type=Path, help="Markdown file to put the table into")
    args = parser.parse_args()
    options = {"timeout": args.timeout, "threads": args.threads, "arithmetic": args.arithmetic}
    known, results = earlier(args.out, options), []
    instances = vnncomp_instances.chosen(args.root, args.categories, args.sample, args.seed)
    began = time.monotonic()
    for place, instance in enumerate(instances, 1):
        result = known.get((instance.onnx, instance.vnnlib))
        if result is None:
            result = measure(args.root, instance, args.timeout, args.threads, args.arithmetic)
            if args.out is not None:
                with open(args.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps({**result._asdict(), **options}) + "\n")
        results.append(result)
        loud = f"  !!! WRONG: {result.wrong}" if result.wrong else ""
        print(
            f"{place}/{len(instances)} {where(result)}: {result.verdict} ({result.truth}) {result.seconds:.1f} s{loud}",
            file=sys.stderr,
            flush=True,
        )
    machine = (
        f"{platform.machine()}, {os.cpu_count()} CPUs, {args.threads} thread(s), {args.timeout:g} s, {args.arithmetic}"
    )
    if args.json:
        found = {
            "machine": machine,
            "seconds": round(time.monotonic() - began, 1),
            "categories": summaries(results),
            "wrong": [result._asdict() for result in results if result.wrong],
            "open_decided": [result._asdict() for result in results if decides_an_open_one(result)],
            "undecided": [result._asdict() for result in results if not result.decided],
        }
        print(json.dumps(found))
    else:
        print("\n".join(lines(results)))
    if args.table is not None:
        title = "# Verification"
        put(args.table, "vnncomp", title, "\n".join([f"Measured on: {machine}.", "", *lines(results), ""]))
    sys.exit(1 if any(result.wrong for result in results) else 0)


if __name__ == "__main__":
    main()
