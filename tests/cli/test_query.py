"""`glscli verify` with properties in VNN-LIB: answers, exit codes, files, the standard's command line."""

import gzip
import json
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner

import records
from glscert.cli import verify
from glscert.cli.failures import describe
from glscert.cli.main import app
from glscert.verifier.run import line
from onnx_models import make, node

# y = (x0 - x1, |x0 - x1|)
BOX = "".join(f"(assert (>= X_{i} 0)) (assert (<= X_{i} 1))" for i in range(2))
DECLARED = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0", "Y_1"))
SAT = DECLARED + BOX + "(assert (>= Y_0 0.5))"
UNSAT = DECLARED + BOX + "(assert (>= Y_0 1.5))"
NEW = """(vnnlib-version <2.0>)
(declare-network f (declare-input X Real [1,2]) (declare-output Y Real [1,2]))
(assert (>= X[0,0] 0)) (assert (<= X[0,0] 1)) (assert (>= X[0,1] 0)) (assert (<= X[0,1] 1)) (assert (>= Y[0,0] 0.5))
"""


@pytest.fixture
def folder(tmp_path):
    consts = {"w": np.array([[1, -1, 1], [-1, 1, -1]], np.float32), "v": np.float32([[1, 1], [-1, 1], [0, 0]])}
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    (tmp_path / "model.onnx").write_bytes(make(nodes, ("batch", 2), consts).SerializeToString())
    properties = tmp_path / "properties"
    properties.mkdir()
    (properties / "a.vnnlib").write_text(SAT)
    (properties / "b.vnnlib.gz").write_bytes(gzip.compress(UNSAT.encode()))
    (properties / "notes.txt").write_text("not a property")
    (tmp_path / "new.vnnlib").write_text(NEW)
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def point_of(text):
    """Names and values of a witness in VNN-COMP's format."""
    assert text.startswith("(") and text.endswith(")")
    pairs = [line.strip("()").split() for line in text.splitlines()]
    return {name: float(value) for name, value in pairs}


def check(point):
    """Inside the box, and unsafe."""
    assert 0 <= point["X_0"] <= 1 and 0 <= point["X_1"] <= 1
    assert point["Y_0"] >= 0.5
    assert point["Y_1"] == abs(point["Y_0"])


def test_an_answer_and_its_witness(folder):
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties" / "a.vnnlib")
    assert done.exit_code == 1, done.output
    first, rest = done.stdout.split("\n", 1)
    assert first.startswith("sat: ")
    check(point_of(rest.strip()))


def test_an_easy_witness_needs_no_torch(folder):
    code = "import sys; from glscert.cli.main import app\ntry: app()\nfinally: print('torch' in sys.modules)"
    arguments = ["verify", folder / "model.onnx", "--vnnlib", folder / "properties" / "a.vnnlib"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("sat: ") and done.stdout.splitlines()[-1] == "False"


def test_a_proof(folder):
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties" / "b.vnnlib.gz", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["schema"], found["complete"]) == ("glscert/query/2", True)
    (only,) = found["results"]
    assert (only["property"], only["verdict"], only["witness"]) == ("b.vnnlib.gz", "unsat", None)


def test_no_time_is_a_timeout(folder):
    (folder / "open.vnnlib").write_text(DECLARED + BOX + "(assert (>= Y_0 1))(assert (<= Y_1 0.99999))")
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "open.vnnlib", "--timeout", 0, "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["results"][0]["verdict"] == "timeout"


def test_a_step_without_end_is_a_timeout(folder, monkeypatch):
    """Whatever the search does, an answer comes soon after the time is over, and the next property gets its own."""

    def endless(*_, **__):
        try:
            while True:
                time.sleep(0.01)
            yield
        except Exception as error:
            raise AssertionError from error

    monkeypatch.setitem(line.STAGES, "intervals", endless)
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties", "--timeout", 0.1, "--json")
    assert done.exit_code == 1
    sat, late = json.loads(done.stdout)["results"]
    assert (sat["verdict"], late["verdict"]) == ("sat", "timeout")
    assert late["reason"] == "timeout after 0.1 s"
    assert 0.1 <= late["seconds"] < 20


def test_the_seconds_told_are_the_clocks(folder):
    began = time.perf_counter()
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties" / "b.vnnlib.gz", "--json")
    took = time.perf_counter() - began
    (found,) = json.loads(done.stdout)["results"]
    assert found["verdict"] == "unsat"
    assert found["seconds"] <= took and found["seconds"] == pytest.approx(took, abs=0.3)


def test_ctrl_c_keeps_what_is_known(folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(line.STAGES, "intervals", interrupted)
    out = folder / "answers.json"
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties", "--json", "--out", out)
    assert done.exit_code == 130
    assert json.loads(done.stdout) == json.loads(out.read_text())
    found = json.loads(done.stdout)
    assert (found["complete"], [result["property"] for result in found["results"]]) == (False, ["a.vnnlib"])
    assert "1 of 2 properties decided" in done.stderr


@pytest.mark.parametrize(("name", "first", "code"), (("a.vnnlib", "sat", 1), ("b.vnnlib.gz", "unsat", 0)))
def test_the_competition_s_result_file(folder, name, first, code):
    path = folder / "result.txt"
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties" / name, "--result-file", path)
    assert done.exit_code == code
    verdict, _, rest = path.read_text().partition("\n")
    assert verdict == first
    if first == "sat":
        check(point_of(rest.strip()))
    else:
        assert rest == ""


def test_the_result_file_of_version_2(folder):
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "new.vnnlib", "--result-file", folder / "result.txt")
    assert done.exit_code == 1
    lines = (folder / "result.txt").read_text().splitlines()
    assert (lines[0], lines[1], lines[4], len(lines)) == ("sat", "X Real [1,2]", "Y Real [1,2]", 7)
    assert done.stdout.splitlines()[1:] == lines[1:]


def test_a_folder_is_kept_and_gone_on_with(folder):
    out = folder / "answers.json"
    arguments = (folder / "model.onnx", "--vnnlib", folder / "properties", "--out", out)
    done = invoke(*arguments)
    assert done.exit_code == 1, done.output
    found = json.loads(out.read_text())
    assert {r["property"]: r["verdict"] for r in found["results"]} == {"a.vnnlib": "sat", "b.vnnlib.gz": "unsat"}

    found["results"][1]["reason"] = "kept"
    records.write(out, found)
    (folder / "properties" / "a.vnnlib").write_text(UNSAT)  # another property under the same name
    (folder / "properties" / "c.vnnlib").write_text("nonsense")
    done = invoke(*arguments, "--json")
    results = {result["property"]: result for result in json.loads(done.stdout)["results"]}
    assert [results[name]["verdict"] for name in ("a.vnnlib", "b.vnnlib.gz", "c.vnnlib")] == ["unsat", "unsat", "error"]
    assert results["b.vnnlib.gz"]["reason"] == "kept"
    assert done.exit_code == 2

    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\x72\x00")  # another empty field
    done = invoke(*arguments)
    assert "answers for another model" in describe(done.exception)[0]


@pytest.fixture
def answers(folder):
    """The command for a folder of a sat and an unsat property, and what it wrote."""
    out = folder / "answers.json"
    arguments = (folder / "model.onnx", "--vnnlib", folder / "properties", "--out", out)
    assert invoke(*arguments).exit_code == 1
    return arguments, json.loads(out.read_text())


def test_what_stayed_open_is_no_answer_to_the_next_run(answers, monkeypatch):
    """Nor is it told as one where that is interrupted."""
    arguments, found = answers
    found["results"][1] |= {"verdict": "unknown", "reason": "of an earlier run"}
    found["summary"] |= {"unsat": 0, "unknown": 1}
    records.write(arguments[-1], found)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(line.STAGES, "intervals", interrupted)
    done = invoke(*arguments, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 130
    assert (told["complete"], [result["verdict"] for result in told["results"]]) == (False, ["sat"])


def test_proofs_of_another_version_are_decided_again(answers):
    arguments, found = answers
    assert [result["verdict"] for result in found["results"]] == ["sat", "unsat"]
    for result in found["results"]:
        result["reason"] = "kept"
    found["versions"]["glscert"] = "0.0.1"
    records.write(arguments[-1], found)
    done = invoke(*arguments, "--json")
    kept, again = json.loads(done.stdout)["results"]
    assert (kept["reason"], again["verdict"]) == ("kept", "unsat") and again["reason"] != "kept"
    assert "was written by version 0.0.1; what it calls unsat is decided again" in done.stderr


def test_answers_of_the_first_schema_are_decided_again(answers):
    arguments, found = answers
    arguments[-1].write_text(json.dumps(found | {"schema": "glscert/query/1"}).replace('"sat"', '"unsat"'))
    done = invoke(*arguments, "--json")
    assert [result["verdict"] for result in json.loads(done.stdout)["results"]] == ["sat", "unsat"]
    assert "written by an older version; all of it is decided again" in done.stderr


def test_a_kept_answer_is_written_as_a_new_one_is(answers, folder):
    arguments, _ = answers
    for name, first in (("a.vnnlib", "sat\n((X_0 "), ("b.vnnlib.gz", "unsat\n")):
        texts = []
        for _ in range(2):
            written = folder / "result.txt"
            files = ("--out", arguments[-1], "--result-file", written)
            invoke(arguments[0], "--vnnlib", folder / "properties" / name, *files)
            texts.append(written.read_text())
            written.unlink()
        assert texts[0] == texts[1] and texts[0].startswith(first)


def test_a_witness_beside_an_interval_is_decided_again(folder):
    """Of X_0 = 0.1 the nearest float32 number is kept; that the exact one is unsafe too, is not."""
    between = DECLARED + BOX + "(assert (= X_0 0.1)) (assert (>= Y_1 0.05))"
    (folder / "between.vnnlib").write_text(between)
    arguments = (folder / "model.onnx", "--vnnlib", folder / "between.vnnlib", "--out", folder / "r.json")
    assert invoke(*arguments).exit_code == 1
    found = json.loads((folder / "r.json").read_text())
    found["results"][0]["reason"] = "kept"
    records.write(folder / "r.json", found)
    (again,) = json.loads(invoke(*arguments, "--json").stdout)["results"]
    assert again["verdict"] == "sat" and again["reason"] != "kept"


def test_a_property_of_another_content_is_decided_anew(answers, folder):
    """Under the same name, whatever its answer was."""
    arguments, _ = answers
    (folder / "properties" / "b.vnnlib.gz").write_bytes(gzip.compress(SAT.encode()))
    assert [r["verdict"] for r in json.loads(invoke(*arguments, "--json").stdout)["results"]] == ["sat", "sat"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    (
        (lambda sat, unsat: sat.update(verdict="unsat", witness=None), "its summary does not count"),
        (lambda sat, unsat: sat["witness"].update(x=[0.5, 0.25]), "does not do in onnxruntime"),
        (lambda sat, unsat: sat["witness"].update(x=[1.5, 0.25]), "does not do in onnxruntime"),
        (lambda sat, unsat: sat["witness"].update(x=[0.5]), "is no input of the network"),
        (lambda sat, unsat: sat["witness"].update(x=[0.9, 1e300]), "is no input of the network"),
        (lambda sat, unsat: sat.update(witness=None), "is sat without a witness"),
        (lambda sat, unsat: unsat.update(witness=sat["witness"]), "is unsat with a witness"),
        (lambda sat, unsat: unsat.update(reason="timeout after 3 s"), "is unsat for the reason"),
        (lambda sat, unsat: unsat.update(seconds=-1), "is not a file of answers of this command"),
        (lambda sat, unsat: unsat.update(verdict="surely"), "is not a file of answers of this command"),
    ),
)
def test_answers_that_cannot_be_true_are_refused(answers, change, sentence):
    arguments, found = answers
    change(*found["results"])
    records.write(arguments[-1], found)
    before = arguments[-1].read_bytes()
    said, code = describe(invoke(*arguments).exception)
    assert (code, arguments[-1].read_bytes()) == (2, before) and sentence in said


def test_answers_that_were_changed_are_refused(answers):
    arguments, found = answers
    found["results"][1]["seconds"] = found["results"][1]["seconds"]
    found["results"][1]["visited"] += 1
    arguments[-1].write_text(json.dumps(found))
    assert "its checksum is another" in describe(invoke(*arguments).exception)[0]


def test_a_property_without_a_condition_on_outputs_is_said_to_be_one(folder):
    (folder / "free.vnnlib").write_text(DECLARED + BOX)
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "free.vnnlib")
    assert done.exit_code == 1 and "says nothing about the network" in done.stderr
    (folder / "half.vnnlib").write_text(DECLARED + BOX + "(assert (or (and (>= Y_0 5)) (and (<= X_0 0.5))))")
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "half.vnnlib")
    assert "half.vnnlib: 1 of its 2 cases states no condition" in done.stderr
    assert "any input of its box is sat" in done.stderr
    (folder / "related.vnnlib").write_text(DECLARED + BOX + "(assert (<= X_0 X_1))")
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "related.vnnlib")
    assert "any input that fulfils its comparisons is sat" in done.stderr
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties" / "a.vnnlib")
    assert done.stderr == ""


def test_the_standard_s_command_line(folder):
    done = invoke(folder / "new.vnnlib", "--network", f"f={folder / 'model.onnx'}", "--timeout", 20)
    assert done.exit_code == 1, done.output
    lines = done.stdout.splitlines()
    assert (lines[0], lines[1], lines[4]) == ("sat", "X Real [1,2]", "Y Real [1,2]")
    check(dict(zip(("X_0", "X_1", "Y_0", "Y_1"), map(float, lines[2:4] + lines[5:]), strict=True)))


def test_what_computes_the_bounds_is_said_where_asked(folder):
    done = invoke(folder / "model.onnx", "--vnnlib", folder / "properties" / "a.vnnlib", "-v")
    assert done.stderr.startswith("bounds are computed ") and done.stdout.startswith("sat: ")
    done = invoke(folder / "new.vnnlib", "--network", f"f={folder / 'model.onnx'}", "-v")
    assert done.stderr.startswith("bounds are computed ") and done.stdout.startswith("sat\n")


def test_a_query_of_version_1(folder):
    done = invoke(folder / "properties" / "b.vnnlib.gz", "--network", f"any={folder / 'model.onnx'}")
    assert (done.exit_code, done.stdout) == (0, "unsat\n")
    done = invoke(folder / "properties" / "a.vnnlib", "--network", f"any={folder / 'model.onnx'}")
    assert done.stdout.startswith("sat\n((X_0 ")


def test_a_fixed_decimal_is_named(folder):
    fixed = folder / "fixed.vnnlib"
    fixed.write_text(DECLARED + "(assert (= X_0 0.7)) (assert (= X_1 0.1)) (assert (>= Y_0 0.5))")
    sentence = "no float32 number lies between the bounds of X_0, X_1"
    done = invoke(folder / "model.onnx", "--vnnlib", fixed, "--json")
    (result,) = json.loads(done.stdout)["results"]
    assert result["verdict"] == "sat" and result["nearest"] == [0, 1]
    assert result["witness"]["x"] == np.float32([0.7, 0.1]).tolist()
    assert sentence in " ".join(done.stderr.split())
    done = invoke(fixed, "--network", f"f={folder / 'model.onnx'}")
    assert done.stdout.startswith("sat\n((X_0 ") and sentence in " ".join(done.stderr.split())


def test_assignments_as_tensors(folder):
    target = folder / "new" / "folder"
    done = invoke(folder / "new.vnnlib", "--network", f"f={folder / 'model.onnx'}", "--serialise-assignments", target)
    assert (done.exit_code, done.stdout) == (1, "sat\n")
    x, y = (numpy_helper.to_array(onnx.TensorProto.FromString((target / f"{n}.pb").read_bytes())) for n in "XY")
    assert x.shape == y.shape == (1, 2) and x.dtype == np.float32
    assert np.all((x >= 0) & (x <= 1)) and y[0, 0] >= 0.5


@pytest.mark.parametrize(("kind", "verdict"), (("Real", "unsat"), ("float32", "unsat"), ("float64", None)))
def test_a_query_declares_its_arithmetic(folder, kind, verdict):
    text = NEW.replace("X Real", f"X {kind}").replace("Y Real", f"Y {kind}").replace("Y[0,0] 0.5", "Y[0,0] 5")
    (folder / "new.vnnlib").write_text(text)
    done = invoke(folder / "new.vnnlib", "--network", f"f={folder / 'model.onnx'}")
    if verdict is None:
        said, code = describe(done.exception)
        assert code == 4 and "X is declared float64" in said and "computes in float32" in said
    else:
        assert done.stdout.split() == [verdict]


@pytest.mark.parametrize(
    ("change", "arguments", "code", "sentence"),
    (
        ({}, [], 2, "declares one network, f; given: none"),
        ({}, ["--network", "g=M"], 2, "declares one network, f; given: g"),
        ({}, ["--network", "f=M", "--network", "g=M"], 2, "given: f, g"),
        ({}, ["--network", "f"], 2, "is not NAME=FILE"),
        ({}, ["--network", "f=absent.onnx"], 2, "cannot read absent.onnx"),
        ({}, ["--network", "f=M", "--json"], 2, "its answer goes to stdout"),
        ({}, ["--network", "f=M", "--eps", "0.1"], 2, "--eps goes with labelled inputs"),
        ({"X Real": "X float32"}, ["--network", "f=M"], 4, "declares variables of several types: float32, real"),
        ({"[1,2]": "[1,3]"}, ["--network", "f=M"], 2, "X has 3 elements, but the network has 2 inputs"),
    ),
)
def test_what_the_standard_wants_refused(folder, change, arguments, code, sentence):
    text = NEW
    for old, new in change.items():
        text = text.replace(old, new)
    (folder / "new.vnnlib").write_text(text)
    done = invoke(folder / "new.vnnlib", *(a.replace("M", str(folder / "model.onnx")) for a in arguments))
    said, found = describe(done.exception)
    assert (found, done.stdout) == (code, "")
    assert sentence in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    (
        (["--vnnlib", "absent"], "no such file or folder"),
        (["--network", "f=x"], "go with a query"),
        (["--result-file", "x"], "goes with --vnnlib"),
        (["--vnnlib", "a.vnnlib", "--result-file", "absent/x"], "absent is not a folder"),
        (["--vnnlib", "a.vnnlib", "--out", "absent/x"], "absent is not a folder"),
        (["--vnnlib", "a.vnnlib", "--out", "x.csv"], "ends in .json"),
        (["--vnnlib", "a.vnnlib", "--eps", "0.1"], "--eps goes with labelled inputs"),
        (["--vnnlib", "a.vnnlib", "--norm", "2", "--images", "0:1"], "--images, --norm go with labelled inputs"),
        (["--vnnlib", "a.vnnlib", "--data", "digits", "--data-dir", "x"], "--data, --data-dir go with"),
        (["--vnnlib", "a.vnnlib", "--range", "none", "--label", "y"], "--range, --label go with"),
        (["--vnnlib", "a.vnnlib", "--min-certified", "0"], "--min-certified goes with"),
        (["--vnnlib", "a.vnnlib", "--eps-file", "e.csv"], "--eps-file goes with"),
        (["--vnnlib", "a.vnnlib", "--threshold", "1", "--tolerance", "2"], "--threshold, --tolerance go with"),
        (["--vnnlib", ".", "--result-file", "x"], "holds no file that ends in|--result-file holds one answer"),
    ),
)
def test_wrong_combinations(folder, monkeypatch, arguments, sentence):
    monkeypatch.chdir(folder / "properties")
    done = invoke(folder / "model.onnx", *arguments)
    said, code = describe(done.exception)
    assert code == 2
    assert any(part in said for part in sentence.split("|"))


VERIFY = Typer()
VERIFY.command()(verify.command)
OPTIONS = get_command(VERIFY).params
OF_LABELLED = [each for each in OPTIONS if getattr(each, "rich_help_panel", None) == verify.DATA]


@pytest.mark.parametrize("option", OF_LABELLED, ids=lambda option: option.name)
@pytest.mark.parametrize("query", (False, True))
def test_no_option_of_labelled_inputs_is_passed_over(folder, option, query):
    asked = [folder / "model.onnx", "--vnnlib", folder / "properties" / "a.vnnlib"]
    if query:
        asked = [folder / "new.vnnlib", "--network", f"f={folder / 'model.onnx'}"]
    said, code = describe(invoke(*asked, option.opts[0], "0.5").exception)
    assert code == 2 and said.startswith(f"{option.opts[0]} goes with labelled inputs")


def test_an_error_shows_its_place_without_a_traceback(folder):
    (folder / "wrong.vnnlib").write_text(SAT + "\n(assert (<= Y_0 many))")
    command = [sys.executable, "-m", "glscert.cli.main", "verify", folder / "model.onnx"]
    done = subprocess.run([*command, "--vnnlib", folder / "wrong.vnnlib"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    said, line, caret = done.stderr.splitlines()
    assert "wrong.vnnlib:6:17: expected a number" in said
    assert line[caret.index("^") :].startswith("many")


@pytest.mark.parametrize(
    ("capability", "expected"),
    (
        ("vnnlib-versions", ["1.0", "2.0"]),
        ("onnx-element-types", ["real", "float32", "float64"]),
        ("multiple-network-theories", ["SNET"]),
        ("unsat-proofs", ["false"]),
    ),
)
def test_capabilities(capability, expected):
    done = CliRunner().invoke(app, ["supports", f"--{capability}"])
    assert (done.exit_code, done.stdout.splitlines()) == (0, expected)


def test_capabilities_of_networks():
    operators = CliRunner().invoke(app, ["supports", "--onnx-operators"]).stdout.split()
    assert {"Conv", "Gemm", "Relu"} <= set(operators)
    first, last = map(int, CliRunner().invoke(app, ["supports", "--onnx-opset-versions"]).stdout.split())
    assert first <= 13 < last
    assert describe(CliRunner().invoke(app, ["supports"]).exception)[1] == 2


def test_reading_a_property_counts_as_well(tmp_path):
    count = 100_000
    names = [f"X_{i}" for i in range(count)]
    text = "".join(f"(declare-const {name} Real)(assert (>= {name} 0))(assert (<= {name} 1))\n" for name in names)
    (tmp_path / "p.vnnlib").write_text(text + "(declare-const Y_0 Real)(assert (>= Y_0 1e9))")
    nodes = [node("MatMul", "x w", "m"), node("Relu", "m", "y")]
    proto = make(nodes, ("batch", count), {"w": np.ones((count, 1), np.float32)})
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    done = invoke(tmp_path / "model.onnx", "--vnnlib", tmp_path / "p.vnnlib", "--timeout", "0.2")
    assert done.exit_code == 3
    assert "timeout after 0.2 s, while the property was read" in done.stdout
