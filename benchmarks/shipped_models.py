"""The README's table: every model in models/, verified from its ONNX file alone on its whole test set, and checked
again from the certificate that this wrote beside it.

    python benchmarks/shipped_models.py --data-dir data

Seconds are those of whole processes, from a cold start; those of verify with the writing of the certificate. kept: how
many answers the certificate covers and the checker accepts.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from glscert.verifier.graph import load_model

GLSCLI = (sys.executable, "-m", "glscert.cli.main")
MODELS = Path(__file__).resolve().parent.parent / "models"
COLUMNS = ("model", "training", "eps", "images", "natural", "adversarial", "certified", "unknown", "seconds")
AGAIN = ("kept", "check s")


def row(model: Path, data_dir: Path, timeout: float) -> list[str]:
    began = time.monotonic()
    options, certificate = ["--data-dir", str(data_dir), "--json"], model.with_suffix(".cert")
    command = [*GLSCLI, "verify", str(model), *options, "--min-certified", "0", "--timeout", str(timeout)]
    done = subprocess.run([*command, "--certificates", str(certificate)], stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.monotonic() - began
    result, checked = json.loads(done.stdout), time.monotonic()
    again = subprocess.run(
        [*GLSCLI, "check", str(model), str(certificate), *options], stdout=subprocess.PIPE, text=True, check=True
    )
    counts, check_seconds = json.loads(again.stdout)["counts"], time.monotonic() - checked
    summary, said = result["summary"], load_model(model).metadata
    shares = [f"{100 * summary[f'{kind}_accuracy']:.2f}" for kind in ("natural", "adversarial", "certified")]
    training = f"{said['method']}, {said['relaxation']}"
    return [
        model.name,
        training,
        said["eps"],
        str(summary["images"]),
        *shares,
        str(summary["unknown"]),
        f"{seconds:.0f}",
        str(sum(counts.values()) - counts["not covered"]),
        f"{check_seconds:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--timeout", type=float, default=60.0)
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS + AGAIN)} |\n|---|---|{'--:|' * len(COLUMNS)}")
    for model in sorted(MODELS.glob("*.onnx")):
        print(f"| {' | '.join(row(model, args.data_dir, args.timeout))} |", flush=True)


if __name__ == "__main__":
    main()
