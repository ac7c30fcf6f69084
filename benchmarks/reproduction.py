"""Rows of the paper's tables: train, export, verify on all 10,000 test images of MNIST, eps 0.1; seeds side by side.

    python benchmarks/reproduction.py --group cnn3-tiny --seeds 0 1 2 --data-dir data --table docs/reproduction.md

The three commands of each row are printed before they are run, and whatever has been done already (a run, a file, a
report in --runs-dir) is not done again: stop it at any time and start it anew, or run it twice to make the table of
several groups. Accuracies in percent, from the report of `glscli verify`. Minutes: of training, as the run's journal
has them.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from markdown import put, table


class Row(NamedTuple):
    """What is trained, by `glscli train` with these options, and the paper's natural and certified accuracy."""

    net: str
    method: str
    relaxation: str | None
    options: str = ""
    paper: tuple[str, str] = ("-", "-")
    start: str | None = None  # the row, of the same seed, whose run gives the weights to start from

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.net, self.method, self.relaxation) if part)


GROUPS: dict[str, list[Row]] = {
    "cnn3-tiny": [
        Row("cnn3-tiny", "grad", "ibp", paper=("89.76", "82.46")),
        Row("cnn3-tiny", "grad", "deeppoly", paper=("89.24", "68.47")),
        Row("cnn3-tiny", "rgs", "deeppoly", paper=("91.33", "82.66")),
    ],
    "cnn3": [
        Row("cnn3", "grad", "ibp", "--epochs 5 --lr 0.005", paper=("96.02", "91.23")),
        Row("cnn3", "grad", "hbox", "--epochs 5 --lr 0.005", paper=("94.79", "88.18")),
        Row("cnn3", "grad", "crown-ibp", "--epochs 5 --lr 0.005", paper=("94.33", "88.76")),
        Row("cnn3", "grad", "deeppoly", "--epochs 5 --lr 0.005", paper=("95.95", "90.04")),
    ],
    "pgpe": [
        Row("cnn3-tiny", "pgd", None, "--option restarts=1 --epochs 12 --lr 0.002"),
        Row("cnn3-tiny", "pgpe", "deeppoly", "--epochs 6 --lr 0.001", ("91.94", "85.00"), "cnn3-tiny-pgd"),
        Row(
            "cnn3-tiny",
            "pgpe",
            "alpha-crown",
            "--option population=64 --epochs 1 --lr 0.002",
            ("92.15", "85.15"),
            "cnn3-tiny-pgd",
        ),
    ],
}
COLUMNS = ("net", "method", "relaxation", "options", "seed", "natural", "certified", "unknown", "paper", "minutes")


class Workshop(NamedTuple):
    """Where the runs and their files lie, and what every command is given."""

    runs: Path
    data: Path
    threads: int

    def made(self, row: Row, seed: int) -> dict[str, object] | None:
        """The report of `glscli verify` on a row's network, or None where there is none yet."""
        report = self._file(row, seed, ".json")
        if not report.exists():
            return None
        found = json.loads(report.read_text(encoding="utf-8"))
        return dict(found["summary"]) if found["complete"] else None

    def minutes(self, row: Row, seed: int) -> float:
        lines = (self.runs / f"{row.name}-{seed}" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        epochs = [line for line in map(json.loads, lines) if line["kind"] == "epoch"]
        return sum(float(line["train_seconds"]) for line in epochs) / 60

    def make(self, row: Row, seed: int) -> None:
        """Trains, exports and verifies, but for what has been done already."""
        if self.made(row, seed) is not None:
            return
        run, model = self.runs / f"{row.name}-{seed}", self._file(row, seed, ".onnx")
        shared = ["--data-dir", str(self.data)]
        if not model.exists():
            if run.exists():
                self._glscli("train", "--resume", "--run", str(run.absolute()), "--threads", str(self.threads), *shared)
            else:
                start = [] if row.start is None else ["--start", str((self.runs / f"{row.start}-{seed}").absolute())]
                what = ["--dataset", "mnist", "--net", row.net, "--method", row.method, "--eps", "0.1"]
                what += [] if row.relaxation is None else ["--relaxation", row.relaxation]
                what += [*shlex.split(row.options), *start, "--seed", str(seed), "--threads", str(self.threads)]
                self._glscli("train", *what, "--run", str(run.absolute()), *shared)
            self._glscli("export", str(model), "--run", str(run.absolute()), *shared)
        report = ["--min-certified", "0", "--timeout", "20", "--out", str(self._file(row, seed, ".json"))]
        self._glscli("verify", str(model), *report, *shared)

    def _file(self, row: Row, seed: int, ending: str) -> Path:
        return self.runs / f"{row.name}-{seed}{ending}"

    def _glscli(self, *arguments: str) -> None:
        print(shlex.join(["glscli", *arguments]), file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "glscert.cli.main", *arguments], stdout=sys.stderr, check=True)


def all_rows(workshop: Workshop, seeds: list[int]) -> str:
    """The table of everything that has been made."""
    lines = []
    for name, rows in GROUPS.items():
        cells = []
        for row in rows:
            for seed in seeds:
                found = workshop.made(row, seed)
                if found is None:
                    continue
                shares = [f"{100 * float(str(found[f'{kind}_accuracy'])):.2f}" for kind in ("natural", "certified")]
                what = [
                    row.net,
                    row.method,
                    row.relaxation or "-",
                    f"`{row.options}`" if row.options else "",
                    str(seed),
                ]
                paper = " / ".join(row.paper) if row.paper[0] != "-" else "-"
                cells.append([*what, *shares, str(found["unknown"]), paper, f"{workshop.minutes(row, seed):.0f}"])
        if cells:
            lines += [f"### {name}", "", *table(COLUMNS, cells, left=4), ""]
    return "\n".join(["", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", choices=tuple(GROUPS), nargs="*", default=[], help="what to make")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/reproduction"))
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", type=Path, metavar="FILE", help="write all that has been made into a Markdown file")
    args = parser.parse_args()
    args.runs_dir.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(args.runs_dir, args.data_dir, args.threads)
    for seed in args.seeds:
        for name in args.group:
            for row in GROUPS[name]:
                workshop.make(row, seed)
    if args.table is not None:
        put(args.table, "reproduction", "# The paper's rows, reproduced", all_rows(workshop, args.seeds))


if __name__ == "__main__":
    main()
