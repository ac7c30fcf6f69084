"""The README's table: every model in models/, verified from its ONNX file alone on its whole test set.

    python benchmarks/shipped_models.py --data-dir data

Seconds are those of the whole process, from a cold start.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from glscert.verifier.graph import load_model

MODELS = Path(__file__).resolve().parent.parent / "models"
COLUMNS = ("model", "training", "eps", "images", "natural", "adversarial", "certified", "unknown", "seconds")


def row(model: Path, data_dir: Path, timeout: float) -> list[str]:
    began = time.monotonic()
    command = [sys.executable, "-m", "glscert.cli.main", "verify", str(model), "--json", "--min-certified", "0"]
    done = subprocess.run(
        [*command, "--data-dir", str(data_dir), "--timeout", str(timeout)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - began
    result = json.loads(done.stdout)
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
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--timeout", type=float, default=60.0)
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|---|---|{'--:|' * (len(COLUMNS) - 2)}")
    for model in sorted(MODELS.glob("*.onnx")):
        print(f"| {' | '.join(row(model, args.data_dir, args.timeout))} |", flush=True)


if __name__ == "__main__":
    main()
