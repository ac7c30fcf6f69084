"""The shipped models still prove what `models/expected.json` records, from the ONNX files alone.

Each entry is "NAME.onnx": {"eps", "images" (first:last), "certified", "natural"}; the two accuracies are floors.
"""

import json
import subprocess
import sys
from pathlib import Path

from glscert.verifier.graph import load_model

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
DATA = (ROOT / "data", ROOT.parent / "shared" / "data")  # the user's own folder first
WITHOUT_FILES = ("digits",)  # data sets that come with a package
SECONDS_PER_IMAGE = "20"


def disagreements(folder: Path, listed: set[str]) -> list[str]:
    """Models listed but absent, present but not listed, or without the run configuration beside them."""
    present = {path.name for path in folder.glob("*.onnx")}
    wrong = [f"models/expected.json lists {name}, which is not there" for name in sorted(listed - present)]
    wrong += [f"models/{name} is not listed in models/expected.json" for name in sorted(present - listed)]
    for name in sorted(present & listed):
        stem = name.removesuffix(".onnx")
        if not any((folder / f"{stem}{end}").is_file() for end in (".toml", ".config.json")):
            wrong.append(f"models/{name} has no run configuration beside it ({stem}.toml or {stem}.config.json)")
    return wrong


def data_folder(dataset: str) -> Path | None:
    """The first folder that exists, or None where the data set's files lie nowhere."""
    if dataset in WITHOUT_FILES:
        return DATA[0]
    return next((folder for folder in DATA if folder.is_dir()), None)


def verify(model: Path, entry: dict, folder: Path) -> list[str]:
    """Runs the command; returns what falls short."""
    command = [sys.executable, "-m", "glscert.cli.main", "verify", str(model), "--eps", entry["eps"]]
    command += ["--images", entry["images"], "--json", "--min-certified", str(entry["certified"])]
    command += ["--timeout", SECONDS_PER_IMAGE, "--data-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        return [f"{model.name}: glscli verify ended with {done.returncode}: {done.stderr.strip()[-500:]}"]
    result = json.loads(done.stdout)
    summary = result["summary"]
    natural, certified = summary["natural_accuracy"], summary["certified_accuracy"]
    print(
        f"{model.name}: eps {entry['eps']}, {summary['images']} images, natural {natural:.4f} (recorded "
        f"{entry['natural']}), certified {certified:.4f} (recorded {entry['certified']}), unknown "
        f"{summary['unknown']}, {summary['seconds']:.0f} s"
    )
    first, last = (int(end) for end in entry["images"].split(":"))
    wrong = []
    if not result["complete"] or summary["images"] != last - first:
        wrong.append(f"{model.name}: {summary['images']} images decided, not {last - first}")
    if natural < entry["natural"]:
        wrong.append(f"{model.name}: natural accuracy {natural:.4f} is below the recorded {entry['natural']}")
    if done.returncode == 1 or certified < entry["certified"]:
        wrong.append(f"{model.name}: certified accuracy {certified:.4f} is below the recorded {entry['certified']}")
    return wrong


def main() -> None:
    expected = json.loads((MODELS / "expected.json").read_text())
    wrong = disagreements(MODELS, set(expected))
    for name, entry in expected.items():
        model = MODELS / name
        if not model.is_file():
            continue
        dataset = load_model(model).metadata["dataset"]
        folder = data_folder(dataset)
        if folder is None:
            print(f"{name}: skipped, no {dataset} files in {' or '.join(str(place) for place in DATA)}")
            continue
        wrong += verify(model, entry, folder)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
