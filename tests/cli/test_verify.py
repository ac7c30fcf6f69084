"""`glscli verify` as a user meets it: exit codes, sentences, JSON, Ctrl-C, a full disk."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.failures import describe
from glscert.cli.main import app
from glscert.cli.parse import parse_eps, parse_range, parse_slice, read_ranges
from glscert.verifier.errors import InputError
from onnx_models import make, node

COMMAND = [sys.executable, "-m", "glscert.cli.main", "verify"]


def difference(threshold=0.25):
    """Class 0 scores `threshold`, class 1 |x0 - x1|: around (c, c) true up to eps = threshold / 2."""
    consts = {
        "w1": np.array([[1, -1], [-1, 1]], np.float32),
        "w2": np.array([[0, 1], [0, 1]], np.float32),
        "b2": np.array([threshold, 0], np.float32),
    }
    nodes = [node("MatMul", "x w1", "h"), node("Relu", "h", "r"), node("MatMul", "r w2", "m"), node("Add", "m b2", "y")]
    return make(nodes, ("batch", 2), consts)


@pytest.fixture
def files(tmp_path):
    """model.onnx and data.npz: four inputs of class 0 and a last one with the wrong label."""
    (tmp_path / "model.onnx").write_bytes(difference().SerializeToString())
    x = np.array([[0.5, 0.5], [0.25, 0.25], [0.5, 0.7], [0.75, 0.75], [0.5, 0.5]], np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.array([0, 0, 0, 0, 1]))
    return tmp_path


def invoke(folder, *arguments):
    named = [str(folder / "model.onnx"), "--data", str(folder / "data.npz")]
    return CliRunner().invoke(app, ["verify", *named, *map(str, arguments)])


def summary(done):
    def refuse(constant):
        raise AssertionError(constant)

    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout, parse_constant=refuse)


@pytest.mark.parametrize(
    ("arguments", "code"),
    (
        (["--eps", "0.01", "--images", "0:4"], 0),
        (["--eps", "0", "--images", "0:4"], 0),
        (["--eps", "0.05"], 1),  # one misclassified
        (["--eps", "0.05", "--images", "2"], 1),  # one falsified
        (["--eps", "0.05", "--images", "0:4", "--min-certified", "0.75"], 0),
        (["--eps", "0.05", "--images", "0:4", "--min-certified", "0.76"], 1),
        (["--eps", "0.05", "--min-certified", "0"], 0),
    ),
)
def test_exit_codes(files, arguments, code):
    done = invoke(files, *arguments, "--json")
    assert done.exit_code == code, done.output
    assert summary(done)["complete"] is True


def test_exit_3_where_something_stays_open(files):
    consts = {"w": np.zeros((2, 2)), "b": np.array([1 + 1e-10, 1.0])}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "y")]
    (files / "model.onnx").write_bytes(make(nodes, ("batch", 2), consts, dtype=np.float64).SerializeToString())
    done = invoke(files, "--eps", "0.1", "--images", "0:2")
    assert done.exit_code == 3
    assert "unknown: 2 ×" in done.stdout


def test_the_object(files):
    done = invoke(files, "--eps", "1/20", "--json")
    found = summary(done)
    assert found["property"] == {"norm": "linf", "eps": 0.05, "range": [0.0, 1.0]}
    assert (found["data"]["source"], found["data"]["first"], found["data"]["last"]) == ("data.npz", 0, 5)
    assert [i["verdict"] for i in found["images"]] == ["verified", "verified", "falsified", "verified", "misclassified"]
    assert found["summary"]["certified_accuracy"] == 0.6


@pytest.mark.parametrize("eps", ("0.2,0", "1/5,0"))
def test_a_radius_for_every_entry(files, eps):
    """|x0 - x1| stays below 0.25 around (c, c) where only x0 may move by 0.2, and not where both may."""
    found = summary(invoke(files, "--eps", eps, "--images", "0:2", "--json"))
    assert found["property"]["eps"] == [0.2, 0.0]
    assert [i["verdict"] for i in found["images"]] == ["verified"] * 2
    both = summary(invoke(files, "--eps", "0.2", "--images", "0:2", "--json"))
    assert [i["verdict"] for i in both["images"]] == ["falsified"] * 2


@pytest.mark.parametrize("kind", ("csv", "npz", "the inputs' own"))
def test_a_file_of_radii(files, kind):
    """The range lets entry 0 move by 0.05 only, which leaves the label alone."""
    arguments = ["--images", "0:1", "--json"]
    if kind == "csv":
        (files / "eps.csv").write_text("name,eps,low,high\nfirst,3,0.4,0.6\nsecond,0,0,1\n")
        np.savez(files / "data.npz", x=np.array([[0.5, 0.5]]), y=np.array([0]))
        arguments += ["--eps-file", str(files / "eps.csv")]
    else:
        stated = {"eps": np.array([3.0, 0.0]), "low": np.array([0.4, 0.0]), "high": np.array([0.6, 1.0])}
        data = {"x": np.array([[0.5, 0.5]]), "y": np.array([0])}
        np.savez(files / "eps.npz", **stated)
        np.savez(files / "data.npz", **data, **(stated if kind == "the inputs' own" else {}))
        arguments += [] if kind == "the inputs' own" else ["--eps-file", str(files / "eps.npz")]
    found = summary(invoke(files, *arguments))
    assert found["property"]["eps"] == [3.0, 0.0]
    assert found["property"]["range"] == [[float(np.float32(0.4)), 0.0], [float(np.float32(0.6)), 1.0]]
    assert found["images"][0]["verdict"] == "verified"
    assert summary(invoke(files, *arguments, "--range", "none"))["images"][0]["verdict"] == "falsified"


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (["--eps", "0.1,0.2,0.3"], "eps holds 3 numbers; the input has 2 entries"),
        (["--eps", "0.1,-0.2"], "not negative"),
        (["--eps", "0.1", "--eps-file", "none.csv"], "leave one out"),
        (["--eps-file", "none.csv"], "does not exist"),
    ),
)
def test_radii_that_do_not_fit(files, arguments, message):
    done = invoke(files, *arguments)
    assert isinstance(done.exception, InputError) and message in str(done.exception)


@pytest.mark.parametrize(
    ("norm", "stated", "certified"), (("inf", "linf", 0), ("2", "l2", 2), ("l2", "l2", 2), ("1", "l1", 3))
)
def test_a_norm(files, norm, stated, certified):
    """|x0 - x1| reaches 2 eps, √2 eps and eps around (c, c), and 0.2 more around (0.5, 0.7)."""
    np.savez(files / "data.npz", x=np.array([[0.5, 0.5], [0.25, 0.25], [0.5, 0.55]]), y=np.zeros(3, np.int64))
    found = summary(invoke(files, "--eps", "0.17", "--norm", norm, "--out", files / "r.json", "--json"))
    assert found["property"]["norm"] == stated
    assert found["summary"]["verified"] == certified and found["summary"]["falsified"] == 3 - certified
    other = invoke(files, "--eps", "0.17", "--norm", "inf" if norm != "inf" else "1", "--out", files / "r.json")
    assert isinstance(other.exception, InputError) and "another property" in str(other.exception)


def test_norms_of_a_shipped_model():
    """Certified and robust in a ball where they are so in a larger one; its own eps is l∞'s alone."""
    model = str(Path(__file__).resolve().parents[2] / "models" / "digits.onnx")
    arguments = ["verify", model, "--images", "0:20", "--timeout", "5"]
    found = {}
    for norm in ("inf", "2", "1"):
        done = CliRunner().invoke(app, [*arguments, "--eps", "0.15", "--norm", norm, "--json"])
        found[norm] = summary(done)["summary"]
    assert found["inf"]["verified"] < found["2"]["verified"] <= found["1"]["verified"]
    assert found["inf"]["falsified"] > found["2"]["falsified"] >= found["1"]["falsified"]
    assert all(each["images"] == 20 and each["unknown"] == 0 for each in found.values())
    table = CliRunner().invoke(app, [*arguments, "--eps", "0.15", "--norm", "1"])
    assert "digits.onnx, l1 eps 0.15" in table.stdout
    own = CliRunner().invoke(app, [*arguments, "--norm", "2"])
    assert isinstance(own.exception, InputError) and "is a radius in l∞, not in l2" in str(own.exception)


def test_the_table(files):
    done = invoke(files, "--eps", "0.05")
    assert "60.00 %" in done.stdout and "80.00 %" in done.stdout


@pytest.mark.parametrize(
    ("images", "indices"), (("1:3", [1, 2]), (":2", [0, 1]), ("3:", [3, 4]), ("4", [4]), ("3:99", [3, 4]))
)
def test_slices_keep_the_numbers_of_the_file(files, images, indices):
    done = invoke(files, "--eps", "0.05", "--images", images, "--json")
    assert [i["index"] for i in summary(done)["images"]] == indices


@pytest.mark.parametrize("images", ("0:0", "5:6", "3:2", "-1:2", "a:b", "1:2:3", "", "1.5:2"))
def test_slices_that_select_nothing(images):
    with pytest.raises(InputError, match="--images"):
        parse_slice(images, 5)


@pytest.mark.parametrize(("text", "value"), (("0.1", 0.1), ("2/255", 2 / 255), ("0", 0.0), ("1e-3", 1e-3)))
def test_radii(text, value):
    assert parse_eps(text, None) == parse_eps(None, text) == [value]


@pytest.mark.parametrize("text", ("-0.1", "nan", "inf", "1/0", "a", "", "1e999999999", "1/2/3", "9" * 5000 + "/1"))
def test_radii_that_are_none(text):
    with pytest.raises(InputError, match="--eps"):
        parse_eps(text, None)


def test_ranges():
    assert parse_range("-1,2") == (-1.0, 2.0)
    assert read_ranges("0.0 255.0") == ([0.0], [255.0])
    assert read_ranges("0 1 -inf 2") == ([0.0, -np.inf], [1.0, 2.0])
    assert parse_range("none") == (-np.inf, np.inf)
    assert parse_range("0,0.1")[1] == np.float32(0.1)
    for text in ("1,0", "0,0", "0", "0,1,2", "0,1,0,2", "a,b", "nan,1", ""):
        with pytest.raises(InputError, match="range"):
            parse_range(text)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    (
        (["none.onnx", "--eps", "0.1"], 2, "No such file or directory"),
        (["text.onnx", "--eps", "0.1"], 2, "is not an ONNX model: it is text"),
        (["sign.onnx", "--eps", "0.1"], 4, "Sign.*the_culprit|the_culprit.*Sign"),
        (["model.onnx", "--data", "data.npz"], 2, "give the radius with --eps"),
        (["model.onnx", "--eps", "0.1"], 2, "does not name a data set; give labelled inputs with --data"),
        (["model.onnx", "--eps", "0.1", "--data", "short.npz"], 2, "holds 5 inputs but 3 labels"),
        (["model.onnx", "--eps", "0.1", "--data", "none.npz"], 2, "none.npz does not exist"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--norm", "3"], 2, "supported: inf, 2, 1"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--range", "0.6,1"], 2, "outside the valid range"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--timeout", "inf"], 2, "timeout = inf must be finite"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--out", "none/r.json"], 2, "none is not a folder"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--out", "."], 2, ""),
    ),
)
def test_what_cannot_be_used_is_one_sentence(files, monkeypatch, arguments, code, sentence):
    monkeypatch.chdir(files)
    Path("text.onnx").write_text("hello, this is no model\n")
    sign = make(
        [node("Sign", "x", "h", name="the_culprit"), node("MatMul", "h w", "y")],
        ("batch", 2),
        {"w": np.eye(2, dtype=np.float32)},
    )
    Path("sign.onnx").write_bytes(sign.SerializeToString())
    with np.load("data.npz") as arrays:
        np.savez("short.npz", x=arrays["x"], y=arrays["y"][:3])
    done = CliRunner().invoke(app, ["verify", *arguments])
    assert done.exception is not None and not isinstance(done.exception, SystemExit), done.output
    assert done.stdout == ""
    printed, found = describe(done.exception)
    assert found == code
    assert re.search(sentence, printed), printed


def test_out_is_resumed_and_shows_the_same(files):
    first = summary(invoke(files, "--eps", "0.05", "--out", files / "r.json", "--json"))
    assert json.loads((files / "r.json").read_text()) == first
    kept = json.loads((files / "r.json").read_text())
    kept["images"] = kept["images"][:2]
    (files / "r.json").write_text(json.dumps(kept))
    again = summary(invoke(files, "--eps", "0.05", "--out", files / "r.json", "--json"))
    strip = lambda images: [{k: v for k, v in i.items() if k != "seconds"} for i in images]  # noqa: E731
    assert strip(again["images"]) == strip(first["images"])
    assert again["images"][:2] == first["images"][:2]
    other = invoke(files, "--eps", "0.06", "--out", files / "r.json", "--json")
    assert isinstance(other.exception, InputError) and "another property" in str(other.exception)


def hard(folder, count=3000):
    """A network and inputs that keep branch and bound busy for long."""
    rng, nodes, consts, value = np.random.default_rng(0), [], {}, "x"
    sizes = (12, 80, 80, 80, 3)
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        consts[f"w{i}"] = (rng.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)
        last = i == len(sizes) - 2
        nodes.append(node("MatMul", f"{value} w{i}", "y" if last else f"h{i}"))
        if not last:
            nodes.append(node("Relu", f"h{i}", f"r{i}"))
            value = f"r{i}"
    proto = make(nodes, ("batch", 12), consts)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    x = rng.uniform(0, 1, (count, 12)).astype(np.float32)
    value = x
    for i in range(len(sizes) - 1):
        value = value @ consts[f"w{i}"]
        value = np.maximum(value, 0) if i < len(sizes) - 2 else value
    np.savez(folder / "data.npz", x=x, y=value.argmax(1))
    return [str(folder / "model.onnx"), "--data", str(folder / "data.npz"), "--eps", "0.12", "--timeout", "1000"]


def listen():
    """A shell's background jobs, and what they start, are deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.skipif(sys.platform == "win32", reason="the signal is POSIX's")
def test_ctrl_c_keeps_what_is_known_and_the_same_command_goes_on(tmp_path):
    arguments, out = hard(tmp_path), tmp_path / "r.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--out", str(out), "--json", "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=listen,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (out.exists() and json.loads(out.read_text())["images"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    kept = json.loads(out.read_text())
    assert json.loads(stdout) == kept
    assert kept["complete"] is False
    decided = {i["index"]: i for i in kept["images"]}
    assert 0 < len(decided) < 3000
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []

    quick = [*arguments[:-1], "0"]  # the timeout may change
    again = [*COMMAND, *quick, "--out", str(out), "--json", "--threads", "1"]
    done = subprocess.run(again, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode in (1, 3), done.stderr
    whole = json.loads(done.stdout)
    assert whole["complete"] is True
    for image in whole["images"]:
        if image["index"] in decided and decided[image["index"]]["verdict"] != "unknown":
            assert image == decided[image["index"]]


@pytest.mark.skipif(sys.platform == "win32", reason="the limit that stands for a full disk is POSIX's")
def test_a_full_disk_is_a_sentence_and_keeps_the_earlier_file(files):
    """A limit on the size of files stands for the disk."""
    out = files / "r.json"
    command = [*COMMAND, "model.onnx", "--data", "data.npz", "--eps", "0.05", "--out", "r.json"]
    assert subprocess.run([*command, "--images", "0:5"], cwd=files, capture_output=True).returncode == 1
    before = out.read_bytes()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from glscert.cli.main import main\n"
        f"sys.argv = {['glscli', *command[3:]]!r}\n"
        "main()"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=files, capture_output=True, text=True, env=environment)
    assert done.returncode == 5, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("glscli: cannot write") and done.stderr.count("\n") == 1
    assert out.read_bytes() == before
    assert [path.name for path in files.iterdir() if "part" in path.name] == []
