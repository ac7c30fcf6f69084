"""benchmarks/reproduction.py: rows of a hidden group on digits made, and made again; the tables of a tiny fake."""

import json
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glscert.cli.main import app

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def record(row, seed, natural=90.0, certified=80.0, **more):
    made = {"natural": natural, "certified": certified, "unknown": 3, "images": 10, "minutes": 2.0}
    return {"row": row.key, "seed": seed, **made, "machine": "m", "date": "2026-01-02", "version": "1 abc"} | more


def two_rows():
    from reproduction_rows import row, then

    first = row("cnn3-tiny", "grad", "ibp", paper=(89.76, 82.46), kind="IBP GRAD")
    return first, then(first, "rgs", "deeppoly", kind="IBP, then DeepPoly RGS")


def test_mean_and_spread_and_each_seed_beneath():
    from reproduction_table import tables

    first, second = two_rows()
    records = [record(first, 1, 92.0, 82.0), record(first, 0), record(second, 0, note="short of it")]
    records += [{"row": second.key, "seed": 1, "failed": "no more memory"}]
    lines = tables({"both": [first, second]}, records).splitlines()
    told = {tuple(cell.strip() for cell in line.split("|")[3:-1]) for line in lines if line.startswith("| cnn3-tiny")}
    assert told == {
        ("IBP, GRAD", "paper", "2", "91.00 ± 1.41", "81.00 ± 1.41", "89.76 / 82.46", "3", "2"),
        # the minutes of the start are part of it
        ("IBP, GRAD, then DeepPoly, RGS", "paper, then 15 epochs, lr 0.005", "1", "90.00", "80.00", "-", "3", "4"),
    }
    seeds = [line.partition("): ")[2] for line in lines if line.startswith("- ")]
    assert seeds == [
        "seed 0: 90.00 / 80.00 [1]; seed 1: 92.00 / 82.00 [1]",
        "seed 0: 90.00 / 80.00, short of it [1]; seed 1: failed: no more memory",
    ]
    assert "1. m; glscert 1 abc; 2026-01-02" in lines


def test_a_result_replaces_its_own_row_and_seed_alone(tmp_path):
    from reproduction_table import merge, read

    first, second = two_rows()
    failed = {"row": first.key, "seed": 0, "failed": "why"}
    path = tmp_path / "results.json"
    merge(path, [failed, record(second, 0)])
    assert failed in read(path)
    merge(path, [record(first, 0, 1.0)])
    merge(path, [record(first, 0, 2.0), failed])
    assert [(r["row"], r["natural"]) for r in read(path)] == [(first.key, 2.0), (second.key, 90.0)]


def test_each_row_has_its_own_name_and_its_start_before_it():
    from reproduction_rows import GROUPS, rows_of
    from reproduction_runs import with_starts

    rows = [row for group in GROUPS.values() for row in group]
    assert len(rows_of(GROUPS)) == len({row.name for row in rows}) == len(rows)
    order = [(row.key, seed) for row, seed in with_starts([(row, seed) for seed in (0, 1) for row in rows])]
    assert len(set(order)) == len(order)
    assert all(order.index((row.start.key, 1)) < order.index((row.key, 1)) for row in rows if row.start)


def test_other_options_are_another_row():
    first, second = two_rows()
    longer = first._replace(options=f"{first.options} --epochs 71")
    assert longer.key != first.key
    assert second._replace(start=longer).key != second.key


def test_a_row_of_the_paper_trains_as_the_paper_does_whatever_the_defaults():
    """Each row's options are such that the command takes them, and no warm-up is added to the paper's."""
    from reproduction_rows import GROUPS, SCHEDULE

    from glscert.trainer import read_toml, resolve

    for row in (row for rows in GROUPS.values() for row in rows):
        words = row.command[1:]
        given = {name[2:].replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)}
        given = {name: value for name, value in given.items() if name != "config"} | {"eps": float(given["eps"])}
        given |= {"options": dict([given.pop("option").split("=")])} if "option" in given else {}
        config = resolve(read_toml(SCHEDULE) if row.pinned else {}, given | {"start": "x"} if row.start else given)
        if row.pinned and row.start is None and not row.name.endswith("warm") and config.method != "pgd":
            assert config.relaxations == (config.relaxation,) and config.restarts == 1
            assert (config.revive > 0) is row.name.endswith("revived")
        if row.schedule == "paper" and row.start is None:
            assert (config.epochs, config.batch, config.lr) == (70, 256, 5e-4)
        if row.start is not None:
            assert not config.anneal and not config.regulariser


@pytest.fixture
def here(monkeypatch):
    """`glscli` in this process, which has torch already, and in its main thread; the commands that were run."""
    import reproduction_runs

    ran, truly = [], subprocess.run

    def run(command, **how):
        if command[0] != sys.executable:
            return truly(command, **how)
        ran.append(command[3])
        done = CliRunner().invoke(app, [*command[3:]])
        how["stdout"].write(f"{done.output}\n{done.exception or ''}".encode())
        if done.exit_code:
            raise subprocess.CalledProcessError(done.exit_code, command)
        return done

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future

    monkeypatch.setattr(reproduction_runs.subprocess, "run", run)
    monkeypatch.setattr(reproduction_runs.ThreadPoolExecutor, "submit", submit)
    return ran


def test_what_is_done_is_not_done_again_and_a_failure_stops_no_other(tmp_path, here):
    from reproduction_rows import HIDDEN
    from reproduction_runs import Workshop, make_all

    workshop, found = Workshop(tmp_path, tmp_path, 1), []
    (first, second), (broken,) = HIDDEN["digits"], HIDDEN["broken"]
    after = broken._replace(name="after", start=broken)
    jobs = [(row, 3) for row in (after, second, first)]
    make_all(workshop, jobs, 1, found.append)
    assert here == ["train", *2 * ["train", "export", "verify"]]
    assert [(record["row"], record.get("images")) for record in found] == [
        (broken.key, None),
        (after.key, None),
        (first.key, 360),
        (second.key, 360),
    ]
    assert "epochs = 0" in found[0]["failed"]
    started = json.loads((tmp_path / f"{second.key}-3" / "config.json").read_text())["start"]
    assert Path(started) == tmp_path / f"{first.key}-3"
    (tmp_path / f"{second.key}-3.record.json").unlink()
    (tmp_path / f"{second.key}-3.onnx").unlink()
    again = []
    make_all(workshop, jobs, 1, again.append)  # only what failed or is gone, the training goes on from where it was
    assert here[7:] == ["train", "train", "export", "verify"]
    assert [record.get("certified") for record in again] == [record.get("certified") for record in found]


def test_the_command_makes_the_page_from_the_results_alone(tmp_path):
    from reproduction_rows import GROUPS
    from reproduction_table import merge

    (row, *_), results, page = GROUPS["cnn3-tiny"], tmp_path / "results.json", tmp_path / "page.md"
    merge(results, [record(row, 0), record(row, 1), record(row._replace(name="gone"), 0)])
    command = [sys.executable, BENCHMARKS / "reproduction.py", "--results", results, "--table", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "no row any more" in done.stderr
    assert "| 2 | 90.00 ± 0.00 | 80.00 ± 0.00 |" in page.read_text()


def test_figures_are_of_what_has_been_made(tmp_path):
    from reproduction_figures import draw, pareto

    first, second = two_rows()
    draw(tmp_path, [first, second], [])
    assert not list(tmp_path.iterdir())
    records = [record(first, 0), record(first, 1, 92.0, 82.0), record(second, 0, 95.0, 50.0)]
    draw(tmp_path, [first, second], records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reproduction-pareto.png", "reproduction-seeds.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    (panel,) = pareto([first, second], records).axes
    assert "below: IBP, GRAD, then DeepPoly, RGS 95.0 / 50.0" in panel.get_xlabel()
    marks = [tuple(place) for dots in panel.collections if hasattr(dots, "get_sizes") for place in dots.get_offsets()]
    assert [pytest.approx(mark) for mark in marks] == [(91.0, 81.0), (89.76, 82.46)]
