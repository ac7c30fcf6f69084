"""`glscli check`: exit codes, tables and JSON, of labelled inputs and of properties."""

import gzip
import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from certificates import about, labelled_certificate
from glscert.cli.main import app
from glscert.verifier import spec
from glscert.verifier.check.certificate import decode, encode
from glscert.verifier.check.checker import Checker
from glscert.verifier.check.digest import model_digest
from glscert.verifier.check.replay import evaluate
from glscert.verifier.check.values import Answer, Certificate, Falsified, Group, Misclassified, Proved, Witness
from glscert.verifier.data import load_dataset
from glscert.verifier.spec import read_query
from onnx_models import make, node

DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits.onnx"
LOADED = """
import sys
from glscert.cli.main import main
try:
    main()
except SystemExit as ending:
    code = ending.code
print(code, sorted({"onnxruntime", "scipy", "sklearn", "torch", "glscert.verifier.engine"} & set(sys.modules)))
"""


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def network() -> onnx.ModelProto:
    """Three classes by a hidden layer, of inputs in [0, 1]."""
    rng = np.random.default_rng(1)
    consts = {"W": rng.normal(size=(4, 8)), "b": rng.normal(size=8), "V": rng.normal(size=(8, 3))}
    nodes = [node("Gemm", "x W b", "h"), node("Relu", "h", "r"), node("MatMul", "r V", "y")]
    return make(nodes, ("batch", 4), {name: array.astype(np.float32) for name, array in consts.items()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """model.onnx, inputs.npz of 30 inputs whose last label is wrong, proofs.cert of them."""
    model = network()
    x = np.random.default_rng(2).random((30, 4)).astype(np.float32)
    y = evaluate(Checker(model).network, x).argmax(1)
    y[-1] = (y[-1] + 1) % 3
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "inputs.npz", x=x, y=y)
    (tmp_path / "proofs.cert").write_bytes(labelled_certificate(model, x, y, 0.02))
    return tmp_path


def arguments(folder: Path) -> list[object]:
    return [folder / "model.onnx", folder / "proofs.cert", "--data", folder / "inputs.npz"]


def rewritten(folder: Path, **changes: object) -> None:
    """The certificate with other parts."""
    found = decode((folder / "proofs.cert").read_bytes())
    parts = {name: getattr(found, name) for name in ("arithmetic", "model", "questions", "tool", "answers")}
    (folder / "proofs.cert").write_bytes(encode(Certificate(**{**parts, **changes})))


def test_a_certificate_that_holds(folder: Path) -> None:
    done = invoke(*arguments(folder), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["accepted"] and found["arithmetic"] == "float32" and found["counts"]["misclassified"] == 1
    assert found["counts"]["proved"] > 15 and found["counts"]["refused"] == 0
    assert found["model"]["sha256"] == model_digest(network())
    assert found["certificate"]["sha256"] == hashlib.sha256((folder / "proofs.cert").read_bytes()).hexdigest()
    assert [answer["key"] for answer in found["answers"]] == list(range(30))
    assert found["asked"] == {"source": "inputs.npz", "count": 30}
    table = invoke(*arguments(folder))
    assert (
        table.exit_code == 0
        and "inputs.npz, l∞ eps 0.02 in [0, 1], in float32" in table.stdout
        and "assumed: a runtime" in table.stdout
    )


def test_fractions_agree(folder: Path) -> None:
    plain, exact = (json.loads(invoke(*arguments(folder), "--json", *more).stdout) for more in ((), ("--exact",)))
    assert exact["counts"] == plain["counts"]
    done = invoke(DIGITS, folder / "proofs.cert", "--exact")
    assert done.exit_code == 1


def test_claims_that_do_not_hold_are_refused(folder: Path) -> None:
    everything = tuple((key, Proved((Group(2),))) for key in range(30))
    rewritten(folder, answers=everything)
    done = invoke(*arguments(folder), "--json")
    found = json.loads(done.stdout)
    refused = [answer for answer in found["answers"] if answer["status"] == "refused"]
    assert done.exit_code == 1 and not found["accepted"] and refused[-1]["key"] == 29
    assert "does not close clause" in refused[-1]["why"] and refused[-1]["place"] == "answer 29, group 0"
    assert "refused: answer 29" in invoke(*arguments(folder)).stdout


def test_a_larger_eps_is_refused(folder: Path) -> None:
    found = decode((folder / "proofs.cert").read_bytes())
    rewritten(folder, questions={**found.questions, "eps": [(0.3).hex()]})
    assert invoke(*arguments(folder)).exit_code == 1


def test_witnesses_are_replayed(folder: Path) -> None:
    """Corners of a ball of radius 1 with another label than the input."""
    model, data = network(), np.load(folder / "inputs.npz")
    codes = np.array(list(itertools.product((1, 2), repeat=4)))
    labels = evaluate(Checker(model).network, np.float32(codes - 1)).argmax(1)
    claims: dict[int, Answer] = {29: Misclassified()}
    for key in range(1, 29):
        other = np.flatnonzero(labels != data["y"][key])
        if len(other):
            claims[key] = Falsified(Witness(tuple(codes[other[0]].tolist())))
    claims[0] = Falsified(Witness((0,) * 4))  # the input itself, which keeps its label
    cert = labelled_certificate(model, data["x"], data["y"], 1.0, answers=sorted(claims.items()))
    (folder / "proofs.cert").write_bytes(cert)
    counts = json.loads(invoke(*arguments(folder), "--json").stdout)["counts"]
    assert counts["falsified"] == len(claims) - 2 > 10 and counts["misclassified"] == counts["refused"] == 1


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["--data", "others.npz"], 1, "other inputs or labels"),
        (["--data", "missing.npz"], 2, "does not exist"),
        ([], 2, "does not name a data set"),
        (["--vnnlib", "p.vnnlib"], 2, "labelled inputs"),
        (["--data", "inputs.npz", "--data-dir", "."], 2, "leave one out"),
    ],
)
def test_other_data(folder: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], code: int, said: str) -> None:
    monkeypatch.chdir(folder)
    np.savez("others.npz", x=np.zeros((30, 4), np.float32), y=np.zeros(30, int))
    ran = subprocess.run(
        [sys.executable, "-m", "glscert.cli.main", "check", "model.onnx", "proofs.cert", *given],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == code and said in ran.stderr and "Traceback" not in ran.stderr, ran


def ran(*arguments: object) -> tuple[int, str]:
    """The exit code and what is said of a command that does not do it."""
    command = [sys.executable, "-m", "glscert.cli.main", "check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_files_that_are_none(folder: Path) -> None:
    path = folder / "other.cert"
    path.write_bytes((folder / "proofs.cert").read_bytes()[:-1])
    code, said = ran(folder / "model.onnx", path, "--data", folder / "inputs.npz")
    assert code == 1 and "damaged or cut off" in said
    code, said = ran(folder / "model.onnx", folder / "none.cert")
    assert code == 2 and "none.cert" in said
    code, said = ran(DIGITS, folder / "proofs.cert")
    assert code == 1 and "of the model" in said
    other = make([node("Erf", "x", "e"), node("ReduceSum", "e", "y", axes=[1])], (1, 4), {}, opset=11)
    (folder / "erf.onnx").write_bytes(other.SerializeToString())
    cert = Certificate("real", model_digest(other), about(np.zeros((1, 4)), np.zeros(1, int), 0.1), "t")
    path.write_bytes(encode(cert))
    code, said = ran(folder / "erf.onnx", path)
    assert code == 4 and "Erf" in said


def test_checking_loads_numpy_and_onnx_alone(tmp_path: Path) -> None:
    """On the data set that the model names, which is read without what it came with."""
    data = load_dataset("digits", "test")
    np.savez(tmp_path / "digits.npz", x=data.x[:20], y=data.y[:20])
    cert = labelled_certificate(onnx.load(DIGITS), data.x[:20], data.y[:20], 0.1)
    (tmp_path / "digits.cert").write_bytes(cert)
    command = ["check", DIGITS, tmp_path / "digits.cert", "--data", tmp_path / "digits.npz", "--json"]
    done = subprocess.run([sys.executable, "-c", LOADED, *map(str, command)], capture_output=True, text=True)
    report, ending = done.stdout.strip().splitlines()
    assert ending == "0 []" and json.loads(report)["counts"]["proved"] > 10


DECLARED = "".join(f"(declare-const X_{i} Real)" for i in range(4)) + "".join(
    f"(declare-const Y_{k} Real)" for k in range(3)
)
BOX = "".join(f"(assert (>= X_{i} 0.25)) (assert (<= X_{i} 0.3))" for i in range(4))


def property_certificate(folder: Path, answers: list[object]) -> list[object]:
    """Of two properties: y_0 is never above 100; it never is above -100. The arguments to check it with."""
    texts = {
        name: DECLARED + BOX + f"(assert (>= Y_0 {end}))" for name, end in (("a.vnnlib", 100), ("b.vnnlib.gz", -100))
    }
    properties, model = folder / "properties", network()
    properties.mkdir(exist_ok=True)
    stated = []
    for name, text in texts.items():
        (properties / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        stated.append({"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    questions = {"kind": "vnnlib", "properties": stated}
    cert = Certificate("float32", model_digest(model), questions, "t", tuple(enumerate(answers)))
    (folder / "property.cert").write_bytes(encode(cert))
    return [folder / "model.onnx", folder / "property.cert", "--vnnlib", properties]


def test_properties(folder: Path) -> None:
    holds = [Proved((Group(0),)), Falsified(Witness((0, 1, 2, 3), (float(np.float32(0.27)),)))]
    command = property_certificate(folder, holds)
    done = invoke(*command, "--json")
    assert done.exit_code == 0, done.output
    assert [answer["status"] for answer in json.loads(done.stdout)["answers"]] == ["proved", "falsified"]
    assert json.loads(invoke(*command, "--exact", "--json").stdout)["accepted"]
    wrong = [Falsified(Witness((0,) * 4)), Proved((Group(2),))]
    done = invoke(*property_certificate(folder, wrong), "--json")
    assert done.exit_code == 1 and json.loads(done.stdout)["counts"]["refused"] == 2
    outside = [Proved((Group(0),)), Falsified(Witness((0, 1, 2, 3), (0.5,)))]
    done = invoke(*property_certificate(folder, outside), "--json")
    assert done.exit_code == 1 and "outside" in json.loads(done.stdout)["answers"][1]["why"]


def test_other_properties_are_refused(folder: Path) -> None:
    command = property_certificate(folder, [Proved((Group(0),)), Proved((Group(0),))])
    (folder / "properties" / "a.vnnlib").write_text(DECLARED + BOX + "(assert (>= Y_0 101))")
    done = invoke(*command, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["answers"][0]["why"] == "there is no such question."
    assert ran(*command[:2])[0] == 2 and ran(*command[:2], "--data", folder / "inputs.npz")[0] == 2


def test_a_range_of_each_entry_is_shown_at_its_narrowest(folder: Path) -> None:
    questions = decode((folder / "proofs.cert").read_bytes()).questions
    high = [number.hex() for number in (1.0, 1.0, 1.0, 0.25)]
    rewritten(folder, questions=questions | {"high": high})
    assert "[0, 0.25] at the narrowest" in " ".join(invoke(*arguments(folder)).stdout.split())


def test_a_property_that_is_named_often_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = property_certificate(folder, [Proved((Group(0),))] * 2)
    found = decode((folder / "property.cert").read_bytes())
    first, reads = found.questions["properties"][0], list[Path]()
    questions = {"kind": "vnnlib", "properties": [first] * 500}
    answers = tuple((key, Proved((Group(0),))) for key in range(400))
    (folder / "property.cert").write_bytes(
        encode(Certificate("float32", found.model, questions, "t", answers)),
    )
    monkeypatch.setattr(spec, "read_query", lambda file, *of: (reads.append(file), read_query(file, *of))[1])
    assert invoke(*command).exit_code == 0 and len(reads) == 1
