"""`glscli verify --jobs` and `--ray`: the answers of one process, kept on Ctrl-C, and nobody left behind."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.failures import describe
from glscert.cli.main import app
from glscert.verifier.run.cluster import LOCAL, _joined
from interrupts import listen
from onnx_models import make, node

COMMAND = [sys.executable, "-m", "glscert.cli.main", "verify"]
SIZES, INPUTS = (12, 80, 80, 80, 3), 160
posix = pytest.mark.skipif(sys.platform == "win32", reason="the signals are POSIX's")


@pytest.fixture
def hard(tmp_path):
    """model.onnx, data.npz and properties/, every fourth of which keeps a search busy for long."""
    rng, nodes, consts, value = np.random.default_rng(0), [], {}, "x"
    for i, (n, m) in enumerate(zip(SIZES, SIZES[1:], strict=False)):
        consts[f"w{i}"] = (rng.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)
        last = i == len(SIZES) - 2
        nodes.append(node("MatMul", f"{value} w{i}", "y" if last else f"h{i}"))
        if not last:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
            value = f"r{i}"
    (tmp_path / "model.onnx").write_bytes(make(nodes, ("batch", SIZES[0]), consts).SerializeToString())
    x = value = rng.uniform(0, 1, (INPUTS, SIZES[0])).astype(np.float32)
    for i in range(len(SIZES) - 1):
        value = value @ consts[f"w{i}"]
        value = np.maximum(value, 0) if i < len(SIZES) - 2 else value
    np.savez(tmp_path / "data.npz", x=x, y=value.argmax(1))
    (tmp_path / "properties").mkdir()
    most = float(value[:, 0].max())
    for number in range(40):
        width = 0.01 if number % 4 else 1
        least, beyond = 0.5 - width / 2, (8, -8, 1, 1)[number % 4] * most
        text = "".join(
            f"(declare-const X_{i} Real)(assert (>= X_{i} {least}))(assert (<= X_{i} {least + width}))"
            for i in range(SIZES[0])
        )
        text += "".join(f"(declare-const Y_{i} Real)" for i in range(3))
        (tmp_path / "properties" / f"{number:02}.vnnlib").write_text(f"{text}(assert (>= Y_0 {beyond}))")
    return tmp_path


KINDS = {
    "images": ["model.onnx", "--data", "data.npz", "--eps", "0.12"],
    "results": ["model.onnx", "--vnnlib", "properties"],
}


def stripped(entries):
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def kept(path, listed):
    return json.loads(path.read_text())[listed] if path.exists() else []


def ended(group):
    """Whether nobody of a group of processes is left, soon."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@posix
@pytest.mark.parametrize("listed", KINDS)
def test_ctrl_c_keeps_what_is_known_and_the_same_command_goes_on(hard, listed):
    """As a terminal sends it, to all processes."""
    arguments = [*KINDS[listed], "--out", "r.json", "--json", "--jobs", "2", "--timeout"]
    process = subprocess.Popen(
        [*COMMAND, *arguments, "1000"], cwd=hard, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=listen,
    )  # fmt: skip
    limit = time.monotonic() + 60
    while not kept(hard / "r.json", listed) and time.monotonic() < limit:
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGINT)
    try:
        stdout, stderr = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # nothing goes on behind a failed test
        raise
    assert process.returncode == 130, stderr
    assert "the same command goes on from there" in stderr and "Traceback" not in stderr
    assert ended(process.pid)
    first = json.loads((hard / "r.json").read_text())
    assert json.loads(stdout) == first and first["complete"] is False

    done = subprocess.run([*COMMAND, *arguments, "0"], cwd=hard, capture_output=True, text=True, timeout=120)
    assert done.returncode in (1, 3), done.stderr
    whole = json.loads(done.stdout)
    assert whole["complete"] is True
    key = "index" if listed == "images" else "property"
    again = {entry[key]: entry for entry in whole[listed]}
    decided = [entry for entry in first[listed] if entry["verdict"] not in ("unknown", "timeout")]
    assert decided and all(again[entry[key]] == entry for entry in decided)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    (
        (["--data", "data.npz", "--eps", "0.1", "--jobs", "2", "--threads", "2"], "Leave one of them out"),
        (["--vnnlib", "properties/01.vnnlib", "--jobs", "2"], "is a single property; --jobs and --ray share many"),
        (["--data", "data.npz", "--eps", "0.1", "--ray", "127.0.0.1:1"], "cannot reach a Ray cluster at 127.0.0.1:1"),
        (["--data", "data.npz", "--eps", "0.1", "--ray", "127.0.0.1:99999"], "Start one with `ray start --head`"),
    ),
)
def test_what_cannot_be_shared(hard, monkeypatch, arguments, sentence):
    pytest.importorskip("ray")  # which is asked for before the address
    monkeypatch.chdir(hard)
    done = CliRunner().invoke(app, ["verify", "model.onnx", *arguments])
    said, code = describe(done.exception)
    assert code == 2 and sentence in said


@pytest.fixture(scope="module")
def cluster():
    """Of two processes, for all tests: to start one takes seconds."""
    pytest.importorskip("ray")
    with _joined(LOCAL, 2):
        yield


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("listed", KINDS)
def test_a_ray_cluster_of_two_answers_as_one_process(hard, monkeypatch, listed):
    monkeypatch.chdir(hard)
    for number in range(0, 40, 4):
        (hard / "properties" / f"{number:02}.vnnlib").unlink()
    (hard / "properties" / "broken.vnnlib").write_text("nonsense")
    quick = ["--eps", "0.02", "--images", "0:48"] if listed == "images" else []
    arguments = ["verify", *KINDS[listed], *quick, "--json"]
    alone, shared = (CliRunner().invoke(app, [*arguments, *more]) for more in ([], ["--ray", "local", "--jobs", "2"]))
    assert alone.exit_code == shared.exit_code, shared.output
    one, other = json.loads(alone.stdout), json.loads(shared.stdout)
    assert stripped(one[listed]) == stripped(other[listed]) and other["complete"] is True
    assert len({entry["verdict"] for entry in one[listed]}) > 1


def test_a_query_is_not_shared(hard, monkeypatch):
    monkeypatch.chdir(hard)
    done = CliRunner().invoke(app, ["verify", "properties/01.vnnlib", "--network", "f=model.onnx", "--jobs", "2"])
    assert "is a single query; --jobs and --ray share many" in describe(done.exception)[0]
