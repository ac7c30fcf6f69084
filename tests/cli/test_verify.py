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

import records
from glscert.cli.failures import describe
from glscert.cli.main import app
from glscert.cli.parse import parse_eps, parse_range, parse_slice, read_ranges
from glscert.verifier.errors import InputError
from interrupts import listen
from onnx_models import difference, make, node, undecided

COMMAND = [sys.executable, "-m", "glscert.cli.main", "verify"]


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
    (files / "model.onnx").write_bytes(undecided().SerializeToString())
    done = invoke(files, "--eps", "0.1", "--images", "0:2", "--timeout", "0.5")
    assert done.exit_code == 3
    assert "unknown: 1 ×" in done.stdout


def test_the_object(files):
    done = invoke(files, "--eps", "1/20", "--json")
    found = summary(done)
    assert found["property"] == {"norm": "linf", "eps": 0.05, "range": [0.0, 1.0], "task": "classification"}
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
        (files / "eps.csv").write_text("column,eps,low,high\nsecond,0,0,1\nfirst,3,0.4,0.6\n")
        (files / "data.csv").write_text("first,class,second\n0.5,0,0.5\n")
        arguments += ["--eps-file", str(files / "eps.csv"), "--data", str(files / "data.csv")]
    else:
        stated = {"eps": np.array([3.0, 0.0]), "low": np.array([0.4, 0.0]), "high": np.array([0.6, 1.0])}
        data = {"x": np.array([[0.5, 0.5]]), "y": np.array([0])}
        np.savez(files / "eps.npz", **stated)
        np.savez(files / "data.npz", **data, **(stated if kind == "the inputs' own" else {}))
        arguments += [] if kind == "the inputs' own" else ["--eps-file", str(files / "eps.npz")]
    found = summary(invoke(files, *arguments))
    assert found["property"]["eps"] == [3.0, 0.0]
    assert found["property"]["range"] == [[0.4, 0.0], [float(np.float32(0.6)), 1.0]]
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
    assert parse_range("0,0.1")[1] == 0.1
    for text in ("1,0", "0,0", "0", "0,1,2", "0,1,0,2", "a,b", "nan,1", ""):
        with pytest.raises(InputError, match="range"):
            parse_range(text)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    (
        (["none.onnx", "--eps", "0.1"], 2, "No such file or directory"),
        (["text.onnx", "--eps", "0.1"], 2, "is not an ONNX model: it is text"),
        (["sin.onnx", "--eps", "0.1"], 4, "Sin.*the_culprit|the_culprit.*Sin"),
        (["model.onnx", "--data", "data.npz"], 2, "give the radius with --eps"),
        (["model.onnx", "--eps", "0.1"], 2, "does not name a data set; give labelled inputs with --data"),
        (["model.onnx", "--eps", "0.1", "--data", "short.npz"], 2, "5 inputs but 3 labels"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--out", "r.csv"], 2, "ends in .json"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--data-dir", "d"], 2, "data.npz is a file"),
        (["model.onnx", "--eps", "0.1", "--data", "data.npz", "--label", "y"], 2, "names a column of a .csv"),
        (["model.onnx", "--eps", "0.1", "--data", "digits", "--label", "y"], 2, "digits knows its labels"),
        (["model.onnx", "--eps", "0.1", "--data", "digits"], 2, "digits have shape .1, 8, 8., the network takes .2."),
        (["model.onnx", "--eps", "0.1", "--data", "first.csv"], 2, "looks like the labels .* by --label first"),
        (["model.onnx", "--eps-file", "e.csv", "--data", "data.npz"], 2, "the data have no header"),
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
    sine = make(
        [node("Sin", "x", "h", name="the_culprit"), node("MatMul", "h w", "y")],
        ("batch", 2),
        {"w": np.eye(2, dtype=np.float32)},
    )
    Path("sin.onnx").write_bytes(sine.SerializeToString())
    Path("first.csv").write_text("0,0.5,0.5\n1,0.25,0.75\n")
    Path("e.csv").write_text("column,eps\na,1\nb,1\n")
    with np.load("data.npz") as arrays:
        np.savez("short.npz", x=arrays["x"], y=arrays["y"][:3])
    done = CliRunner().invoke(app, ["verify", *arguments])
    assert done.exception is not None and not isinstance(done.exception, SystemExit), done.output
    assert done.stdout == ""
    printed, found = describe(done.exception)
    assert found == code
    assert re.search(sentence, printed), printed


def test_the_column_of_labels_is_said(files):
    (files / "data.csv").write_text("0,0.5,0.5\n1,0.25,0.75\n")
    done = invoke(files, "--data", files / "data.csv", "--label", "first", "--eps", "0.01", "--json")
    assert [i["verdict"] for i in summary(done)["images"]] == ["verified", "verified"]
    assert "labels: the first column of data.csv" in done.stderr and summary(done)["data"]["label"] == "first"
    assert "float32" not in done.stderr


@pytest.mark.parametrize("kind", ("csv", "npz"))
def test_inputs_that_float32_does_not_hold(tmp_path, kind):
    """Class 1 scores relu(x - 2^24) and class 0 a half: all the ball around 2^24 + 1 is class 1, the nearest float32
    class 0."""
    consts = {"w": np.array([[0, 1]]), "c": np.array([0, -(2.0**24)]), "b": np.array([0.5, 0])}
    nodes = [node("MatMul", "x w", "u"), node("Add", "u c", "v"), node("Relu", "v", "r"), node("Add", "r b", "y")]
    if kind == "csv":
        (tmp_path / "data.csv").write_text("label,a\n0,16777217\n")
    else:
        np.savez(tmp_path / "data.npz", x=np.array([[16777217]]), y=np.array([0]))
    arguments = ["--data", tmp_path / f"data.{kind}", "--eps", "0.25", "--range", "none", "--json"]
    for dtype, verdict in ((np.float32, "unknown"), (np.float64, "misclassified")):
        typed = {name: array.astype(dtype) for name, array in consts.items()}
        proto = make(nodes, ("batch", 1), typed, dtype=dtype)
        (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
        done = invoke(tmp_path, *arguments)
        assert summary(done)["images"][0]["verdict"] == verdict
        rounded = summary(done)["data"]["rounded"]
        assert rounded == (dtype is np.float32)
        assert ("no float32 numbers: 1 of the inputs' entries" in done.stderr) is bool(rounded)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_inputs_may_lie_on_the_ends_of_the_range(files, dtype):
    """Whether float32 rounds an end up or down, and whether it rounded the inputs."""
    np.savez(files / "data.npz", x=np.array([[0.1, 0.7], [0.7, 0.1]], dtype), y=np.array([1, 1]))
    found = summary(invoke(files, "--eps", "0.01", "--range", "0.1,0.7", "--json"))
    assert [image["verdict"] for image in found["images"]] == ["verified"] * 2


def stripped(images):
    return [{key: value for key, value in image.items() if key != "seconds"} for image in images]


def test_out_is_resumed_and_shows_the_same(files):
    out = files / "r.json"
    first = summary(invoke(files, "--eps", "0.05", "--out", out, "--json"))
    assert json.loads(out.read_text()) == first
    records.write(out, records.counted({**first, "images": first["images"][:2], "complete": False}))
    again = summary(invoke(files, "--eps", "0.05", "--out", out, "--json"))
    assert stripped(again["images"]) == stripped(first["images"])
    assert again["images"][:2] == first["images"][:2]
    other = invoke(files, "--eps", "0.06", "--out", out, "--json")
    assert isinstance(other.exception, InputError) and "another property" in str(other.exception)


def all_verified(record):
    for image in record["images"]:
        image |= {"verdict": "verified", "margin": 0.1, "reason": "DeepPoly"}


def entry(number, **changes):
    return lambda record: record["images"][number].update(changes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    (
        (entry(2, verdict="verified"), "input 2 is verified with the margin -"),
        (entry(2, verdict="verified", margin=None), "input 2 is verified with the margin None"),
        (entry(2, verdict="verified", margin=0.1), "input 2 is verified with the margin 0.1 and the reason 'attack'"),
        (entry(4, verdict="verified", margin=0.1), "the reason 'the network answers 0'"),
        (all_verified, "input 2 is verified, and has a counterexample in r.counterexamples.npz"),
        (
            entry(4, verdict="verified", margin=0.1, reason="IBP"),
            "input 4 is recorded as verified, and in onnxruntime the network answers 0",
        ),
        (entry(0, label=1), "with the label 1, which is 0 in the data"),
        (entry(0, index=7), "input 7 is verified but not among the inputs"),
        (entry(0, index=1), "its summary does not count its images"),
        (entry(0, seconds=-1.0), "after less than no time"),
        (entry(0, reason=""), "without a reason"),
        (
            entry(0, margin=-1.0, verdict="misclassified"),
            "as misclassified, and in onnxruntime the label wins",
        ),
        (entry(1, margin=0.5, verdict="falsified"), "input 1 is falsified with the margin 0.5"),
        (lambda record: record["summary"].update(certified_accuracy=1.0), "its summary does not count its images"),
    ),
)
def test_a_record_that_cannot_be_true_is_refused(files, change, sentence):
    out = files / "r.json"
    record = summary(invoke(files, "--eps", "0.05", "--out", out, "--json"))
    change(record)
    records.write(out, record if "summary" in sentence else records.counted(record))
    before = out.read_bytes()
    done = invoke(files, "--eps", "0.05", "--out", out)
    assert isinstance(done.exception, InputError) and sentence in str(done.exception), done.exception
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("point", "sentence"),
    (
        ([0.55, 0.65], "by a counterexample that is none"),  # inside, and the label wins there
        ([0.1, 0.9], "by a counterexample that is none"),  # outside
        ([[0.45, 0.75]], "by a counterexample that is none"),
    ),
)
def test_a_counterexample_that_is_none_is_refused(files, point, sentence):
    out = files / "r.json"
    summary(invoke(files, "--eps", "0.05", "--out", out, "--json"))
    np.savez(files / "r.counterexamples.npz", index=[2], x=np.array([point], np.float32))
    done = invoke(files, "--eps", "0.05", "--out", out)
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)


def test_a_record_that_was_changed_is_refused(files):
    out = files / "r.json"
    invoke(files, "--eps", "0.05", "--out", out)
    out.write_text(out.read_text().replace('"timeout": 60.0', '"timeout": 61.0'))
    done = invoke(files, "--eps", "0.05", "--out", out)
    assert isinstance(done.exception, InputError) and "its checksum is another" in str(done.exception)


def test_labels_are_part_of_the_data(files):
    out = files / "r.json"
    invoke(files, "--eps", "0.05", "--out", out)
    with np.load(files / "data.npz") as arrays:
        x = arrays["x"]
    np.savez(files / "data.npz", x=x.astype(np.float64), y=np.array([[0], [0], [0], [0], [1]]))
    assert invoke(files, "--eps", "0.05", "--out", out).exit_code == 1  # the same numbers in another type and shape
    np.savez(files / "data.npz", x=x, y=np.array([0, 0, 0, 1, 1]))
    done = invoke(files, "--eps", "0.05", "--out", out)
    assert isinstance(done.exception, InputError) and "another data" in str(done.exception)


def test_what_another_version_calls_verified_is_decided_again(files):
    out = files / "r.json"
    first = summary(invoke(files, "--eps", "0.05", "--out", out, "--json"))
    changed = json.loads(json.dumps(first))
    for image in changed["images"]:
        image["seconds"] = 100.0
    changed["images"][2] |= {"verdict": "verified", "margin": 1.0, "reason": "IBP"}  # what this one was wrong about
    changed["versions"]["glscert"] = "0.0.9"
    records.write(out, records.counted(changed))
    done = invoke(files, "--eps", "0.05", "--out", out, "--json")
    again = summary(done)
    assert stripped(again["images"]) == stripped(first["images"])
    assert [image["seconds"] == 100.0 for image in again["images"]] == [False, False, False, False, True]
    assert "was written by version 0.0.9; what it calls verified is decided again" in done.stderr
    assert again["versions"] == first["versions"]


def test_a_record_of_the_first_schema_is_decided_again(files):
    out = files / "r.json"
    first = summary(invoke(files, "--eps", "0.05", "--out", out, "--json"))
    old = json.loads(out.read_text()) | {"schema": "glscert/verify/1"}
    all_verified(old)
    out.write_text(json.dumps(old))
    done = invoke(files, "--eps", "0.05", "--out", out, "--json")
    assert stripped(summary(done)["images"]) == stripped(first["images"])
    assert "was written by an older version; all of it is decided again" in done.stderr


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


def single(folder, *ending):
    """One output 4 (|x0 - x1| - 1/4), then the nodes of `ending`; data of classes 0, 0 and 1."""
    last = "z" if ending else "y"
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "m"), node("Add", "m b", last)]
    consts = {"w": np.float32([[1, -1], [-1, 1]]), "v": np.float32([[4], [4]]), "b": np.float32([-1])}
    (folder / "model.onnx").write_bytes(make([*nodes, *ending], ("batch", 2), consts).SerializeToString())
    x = np.array([[0.5, 0.5], [0.5, 0.6], [1, 0]], np.float32)
    np.savez(folder / "data.npz", x=x, y=np.array([0, 0, 1]))
    return x


@pytest.mark.parametrize("behind, threshold", [("Sigmoid", 0.5), ("Tanh", 0.0), (None, 0.0)])
def test_one_output_is_a_binary_classifier(tmp_path, behind, threshold):
    single(tmp_path, *([] if behind is None else [node(behind, "z", "y")]))
    done = invoke(tmp_path, "--eps", "0.1", "--json", "--out", tmp_path / "r.json")
    found = summary(done)
    assert [image["verdict"] for image in found["images"]] == ["verified", "falsified", "verified"]
    asked = {key: found["property"][key] for key in ("task", "threshold", "behind")}
    assert asked == {"task": "binary", "threshold": threshold, "behind": behind}
    assert f"class 1 above {threshold:g}" in done.stderr and done.stderr.count("binary classifier") == 1
    assert ("give --threshold 0.5" in done.stderr) is False
    other = invoke(tmp_path, "--eps", "0.1", "--threshold", "0.25", "--out", tmp_path / "r.json")
    assert isinstance(other.exception, InputError) and "another property" in str(other.exception)


def test_an_output_that_may_be_a_probability_is_told(tmp_path):
    single(tmp_path, node("HardSigmoid", "z", "y"))
    done = invoke(tmp_path, "--eps", "0.05")
    assert "if they are probabilities, give --threshold 0.5" in done.stderr
    done = invoke(tmp_path, "--eps", "0.05", "--threshold", "0.5", "--json")
    assert summary(done)["summary"]["verified"] == 3


def test_a_regression(tmp_path):
    x = single(tmp_path)
    np.savez(tmp_path / "data.npz", x=x, y=np.array([-0.9, -0.6, 3.5]))  # the answers are -1, -0.6 and 3
    done = invoke(tmp_path, "--eps", "0.05", "--tolerance", "0.41", "--json", "--out", tmp_path / "r.json")
    found = summary(done)
    assert [image["verdict"] for image in found["images"]] == ["verified", "verified", "misclassified"]
    assert [image["label"] for image in found["images"]] == [-0.9, -0.6, 3.5]
    assert (found["property"]["task"], found["property"]["tolerance"]) == ("regression", 0.41)
    again = invoke(tmp_path, "--eps", "0.05", "--tolerance", "0.41", "--json", "--out", tmp_path / "r.json")
    assert summary(again)["images"] == found["images"]
    np.savez(tmp_path / "data.npz", x=x)
    done = invoke(tmp_path, "--eps", "0.05", "--tolerance", "0.39", "--json")
    assert [(image["verdict"], image["label"]) for image in summary(done)["images"]] == [("falsified", None)] * 3
    (tmp_path / "rows.csv").write_text("a,b,target\n0.5,0.5,-0.95\n1,0,3.05\n")
    done = invoke(tmp_path, "--data", tmp_path / "rows.csv", "--eps", "0.05", "--tolerance", "0.41")
    assert done.exit_code == 0 and "within 0.41" in done.stdout


def test_labels_that_are_numbers_need_a_tolerance(tmp_path):
    np.savez(tmp_path / "data.npz", x=single(tmp_path), y=np.array([0.5, 1.5, 2]))
    done = invoke(tmp_path, "--eps", "0.05")
    assert isinstance(done.exception, InputError) and "--tolerance" in str(done.exception)


def test_what_computes_the_bounds_is_said_once_where_asked(files, monkeypatch):
    done = invoke(files, "--eps", "0.05", "--json", "-v")
    told = done.stderr.splitlines()[0]
    assert summary(done)["complete"] is True and told.startswith("bounds are computed ")
    assert done.stderr.count("bounds are computed") == 1 and re.search(r"; \d+ threads?\.$", told)
    assert "bounds are computed" not in invoke(files, "--eps", "0.05").stderr
    monkeypatch.setattr("glscert.verifier.engine.engine._MOST_WEIGHTS", 1)
    why = "in numpy, which takes longer, because the network has 10 weights, and the compiled program takes up to 1"
    assert why in invoke(files, "--eps", "0.05", "--verbose").stderr
    inspected = CliRunner().invoke(app, ["inspect", str(files / "model.onnx")])
    assert why in inspected.stdout


def test_timeouts_are_counted_together(tmp_path):
    arguments = hard(tmp_path, 40)
    done = CliRunner().invoke(app, ["verify", *arguments[:-1], "0.01"])
    assert re.search(r"unknown: \d\d × timeout after 0.01 s\n", done.stdout) and done.stdout.count("timeout") == 1


def test_a_slice_that_is_cut_is_said(files):
    done = invoke(files, "--eps", "0.01", "--images", "3:100", "--json")
    assert "--images 3:100 goes beyond the 5 inputs of data.npz" in done.stderr
    assert "goes beyond" not in invoke(files, "--eps", "0.01", "--images", "3:5", "--json").stderr


def test_a_record_cut_short_is_said_to_be(files):
    out = files / "out.json"
    assert invoke(files, "--eps", "0.05", "--out", out).exit_code == 1
    out.write_bytes(out.read_bytes()[:300])
    assert "is damaged or cut short" in describe(invoke(files, "--eps", "0.05", "--out", out).exception)[0]


def test_a_folder_that_takes_no_file_ends_with_5_at_once(files):
    said, code = describe(invoke(files, "--eps", "0.05", "--out", "/proc/r.json").exception)
    assert code == 5 and said.startswith("cannot write /proc/r.json")


def test_fractions_in_a_file_of_radii(files):
    (files / "eps.csv").write_text("eps\n2/255\n0\n")
    found = summary(invoke(files, "--eps-file", files / "eps.csv", "--json"))
    assert found["property"]["eps"] == [2 / 255, 0]
