"""Rows made: trained, exported and verified, several side by side; what is done is not done again."""

import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from reproduction_rows import Row

from glscert.verifier.files import replace_file

_HERE = Path(__file__).parent

Record = dict[str, Any]  # what one row and seed gave
Job = tuple[Row, int]  # with a seed


class Workshop(NamedTuple):
    """Where the runs and their files lie, and what every command is given."""

    runs: Path
    data: Path
    threads: int

    def record(self, row: Row, seed: int) -> Record | None:
        """What was found, or None where it is not done."""
        path = self._file(row, seed, ".record.json")
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def make(self, row: Row, seed: int) -> Record:
        """Trains, exports and verifies, but for what has been done already. Raises CalledProcessError."""
        with self._alone(row, seed) as lock:
            done = self.record(row, seed)
            if done is not None:
                return done
            for arguments in self._missing(row, seed):
                self._glscli(arguments, self._file(row, seed, ".log"), lock)
            report = json.loads(self._file(row, seed, ".json").read_text(encoding="utf-8"))
            made = {"row": row.key, "seed": seed, **self._found(row, seed, report["summary"]), **where_and_when(report)}
            replace_file(self._file(row, seed, ".record.json"), lambda file: file.write(json.dumps(made).encode()))
            return made

    def reason(self, row: Row, seed: int) -> str:
        """The last line that a failed command said."""
        log = self._file(row, seed, ".log")
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "no word of it")

    def _missing(self, row: Row, seed: int) -> Iterator[list[str]]:
        """The commands that are left to run, each after the one before has run."""
        run, model = self._file(row, seed, "").absolute(), self._file(row, seed, ".onnx")
        shared, threads = ["--data-dir", str(self.data)], ["--threads", str(self.threads)]
        if not model.exists():
            if run.exists():
                yield ["train", "--resume", "--run", str(run), *threads, *shared]
            else:
                start = [] if row.start is None else ["--start", str(self._file(row.start, seed, "").absolute())]
                yield [*row.command, *start, "--seed", str(seed), "--run", str(run), *threads, *shared]
            yield ["export", str(model), "--run", str(run), *shared]
        report = ["--min-certified", "0", "--timeout", str(row.timeout), "--out", str(self._file(row, seed, ".json"))]
        yield ["verify", str(model), *report, *threads, *shared]

    def _found(self, row: Row, seed: int, summary: dict[str, Any]) -> Record:
        lines = (self._file(row, seed, "") / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        seconds = sum(float(line["train_seconds"]) for line in map(json.loads, lines) if line["kind"] == "epoch")
        shares = {name: round(100 * float(summary[f"{name}_accuracy"]), 2) for name in ("natural", "certified")}
        counts = {name: int(summary[name]) for name in ("unknown", "images")}
        return {**shares, **counts, "minutes": round(seconds / 60, 1)}

    def _file(self, row: Row, seed: int, ending: str) -> Path:
        return self.runs / f"{row.key}-{seed}{ending}"

    @contextmanager
    def _alone(self, row: Row, seed: int) -> Iterator[int]:
        """A lock that the commands inherit: it outlives this program where they do."""
        with open(self._file(row, seed, ".lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock.fileno()

    def _glscli(self, arguments: list[str], log: Path, lock: int) -> None:
        say(shlex.join(["glscli", *arguments]))
        command = [sys.executable, "-m", "glscert.cli.main", *arguments]
        with open(log, "ab") as told:
            subprocess.run(command, stdout=told, stderr=told, check=True, pass_fds=[lock])


def make_all(workshop: Workshop, jobs: list[Job], parallel: int, done: Callable[[Record], None]) -> None:
    """Each job and what it starts from, so many side by side, in this order as far as the starts allow; `done` is told
    what each found, or why it failed: the others go on."""
    open_, lost, running = with_starts(jobs), set[tuple[str, int]](), dict[Future[Record], Job]()
    finished: set[tuple[str, int]] = set()

    def ended(job: Job, record: Record) -> None:
        (lost if "failed" in record else finished).add((job[0].key, job[1]))
        done(record)

    with ThreadPoolExecutor(parallel) as pool:
        while open_ or running:
            for job in list(open_):
                row, seed = job
                start = (row.start.key, seed) if row.start else None
                if start in lost:
                    ended(job, {"row": row.key, "seed": seed, "failed": "what it starts from failed"})
                elif len(running) < parallel and (start is None or start in finished):
                    running[pool.submit(_tried, workshop, job)] = job
                else:
                    continue
                open_.remove(job)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                ended(running.pop(future), future.result())


def with_starts(jobs: list[Job]) -> list[Job]:
    """The jobs, each once, behind the ones whose networks they start from."""
    ordered: dict[tuple[str, int], Job] = {}
    for row, seed in jobs:
        chain = [row]
        while chain[-1].start is not None:
            chain.append(chain[-1].start)
        for each in reversed(chain):
            ordered.setdefault((each.key, seed), (each, seed))
    return list(ordered.values())


def _tried(workshop: Workshop, job: Job) -> Record:
    row, seed = job
    try:
        return workshop.make(row, seed)
    except subprocess.CalledProcessError as error:
        killed = error.returncode < 0  # and so said nothing
        reason = f"killed by signal {-error.returncode}" if killed else workshop.reason(row, seed)
    except (OSError, KeyError, ValueError) as error:  # what a command left is not what it should be
        reason = f"{type(error).__name__}: {error}"
    return {"row": row.key, "seed": seed, "failed": reason}


def where_and_when(report: dict[str, Any]) -> Record:
    """The processor, this day and the version, with the commit where there is one."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=_HERE)
    version = " ".join([str(report["versions"]["glscert"]), commit.stdout.strip()]).strip()
    return {"machine": f"{processor}, {os.cpu_count()} CPUs", "date": date.today().isoformat(), "version": version}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
