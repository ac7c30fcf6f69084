"""How many proofs of competition instances have a certificate that the checker accepts, and what that costs.

    python benchmarks/certificates.py --root ../shared/benchmarks/vnncomp --timeout 20 --sample 60 --seed 1

Each instance is decided by `glscli verify`, and where that says unsat once more with --certificates, and what it wrote
is checked by `glscli check`: three processes of one thread. Seconds are of whole processes; added: those of the second
beyond those of the first. The root is that of vnncomp.py.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import vnncomp_instances
from markdown import put, table
from vnncomp_instances import Instance

Of = tuple[str, str, str, str, float]  # arithmetic, category, network, property, timeout
COLUMNS = ("category", "unsat", "accepted", "median bytes", "verify s", "added s", "check s")


class Certified(NamedTuple):
    """Of one unsat: accepted, whether the checker proves it; why not; seconds of verify without and with a certificate,
    and of check."""

    category: str
    onnx: str
    vnnlib: str
    accepted: bool
    why: str
    bytes: int
    verify: float
    certify: float
    check: float


def measured(root: Path, instance: Instance, timeout: float, arithmetic: str) -> Certified | None:
    """None where it is no unsat."""
    said, verify, _ = vnncomp_instances.run(root, instance, timeout, 1, arithmetic)
    if said["verdict"] != "unsat":
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.cert"
        again, certify, _ = vnncomp_instances.run(root, instance, timeout, 1, arithmetic, path)
        if not path.exists():
            return Certified(*instance[:3], False, again["reason"], 0, verify, certify, 0.0)
        found, seconds = checked(root, instance, path)
        (answer,) = found.get("answers", [{"status": "refused", "why": found.get("error", "no answer")}])
        accepted = found.get("accepted", False) and answer["status"] == "proved"
        return Certified(*instance[:3], accepted, answer.get("why", ""), path.stat().st_size, verify, certify, seconds)


def checked(root: Path, instance: Instance, path: Path) -> tuple[dict[str, Any], float]:
    command = [sys.executable, "-m", "glscert.cli.main", "check", str(root / instance.onnx), str(path)]
    command += ["--vnnlib", str(root / instance.vnnlib), "--json"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.monotonic() - began
    try:
        return json.loads(done.stdout), seconds
    except ValueError:
        return {"error": " ".join(done.stderr.split())[-200:]}, seconds


def lines(results: list[Certified]) -> list[str]:
    rows = []
    for name in [*sorted({each.category for each in results}), "all"]:
        own = [each for each in results if name in (each.category, "all")]
        accepted = [each for each in own if each.accepted]
        share = f"{len(accepted)} ({100 * len(accepted) / len(own):.0f} %)" if own else "0"
        size = f"{statistics.median(each.bytes for each in accepted):,.0f}" if accepted else "-"
        times = [
            statistics.median(part) if own else 0.0
            for part in zip(*((each.verify, each.certify - each.verify, each.check) for each in own), strict=True)
        ]
        rows.append([name, str(len(own)), share, size, *(f"{seconds:.1f}" for seconds in times)])
    text = table(COLUMNS, rows, left=1)
    rest = [f"- {Path(one.onnx).name} {Path(one.vnnlib).name}: {one.why}" for one in results if not one.accepted]
    return [*text, *(["", f"Without ({len(rest)}):", "", *rest] if rest else [])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--timeout", type=float, default=20.0)
    parser.add_argument("--sample", type=int, help="so many instances, drawn by --seed; default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--categories", nargs="+", help="as acasxu, or 2022/acasxu; default all")
    parser.add_argument("--arithmetic", nargs="+", default=["float32", "real"])
    parser.add_argument("--out", type=Path, help="a line of JSON for each result; a stopped run goes on from it")
    parser.add_argument("--table", type=Path, help="Markdown file to put the tables into")
    args = parser.parse_args()
    instances, known = vnncomp_instances.chosen(args.root, args.categories, args.sample, args.seed), earlier(args.out)
    text = [f"Measured on: {platform.machine()}, one thread, {args.timeout:g} s for verify."]
    for arithmetic in args.arithmetic:
        results = []
        for place, instance in enumerate(instances, 1):
            of = (arithmetic, *instance[:3], args.timeout)
            if of not in known:
                known[of] = measured(args.root, instance, args.timeout, arithmetic)
                keep(args.out, of, known[of])
            found = known[of]
            results += [] if found is None else [found]
            said = "no unsat" if found is None else "accepted" if found.accepted else found.why
            print(f"{arithmetic} {place}/{len(instances)} {instance.vnnlib}: {said}", file=sys.stderr, flush=True)
        text += ["", f"In {arithmetic} arithmetic:", "", *lines(results)]
    print("\n".join(text))
    if args.table is not None:
        put(args.table, "certificates", "# Certificates", "\n".join([*text, ""]))


def earlier(path: Path | None) -> dict[Of, Certified | None]:
    """What an earlier run measured."""
    if path is None or not path.exists():
        return {}
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {tuple(each["of"]): each["found"] and Certified(**each["found"]) for each in entries}


def keep(path: Path | None, of: Of, found: Certified | None) -> None:
    if path is not None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"of": of, "found": None if found is None else found._asdict()}) + "\n")


if __name__ == "__main__":
    main()
