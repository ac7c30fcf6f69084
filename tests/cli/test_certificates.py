"""`glscli verify --certificates FILE`: what it writes passes `glscli check`, whoever shared the work, and says what it
does not cover."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier.check.certificate import decode
from glscert.verifier.check.values import Falsified, Leaf, Misclassified, Proved, Uncovered
from glscert.verifier.errors import InputError
from onnx_models import make, node

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "digits.onnx"
TINY = ROOT / "models" / "mnist-cnn3-tiny.onnx"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def verify(target, *arguments):
    """-> the certificate's bytes and what was said."""
    told = run("verify", *arguments, "--certificates", target)
    assert told.exit_code in (0, 1, 3), told.output
    return target.read_bytes(), told.stderr


def checked(*arguments):
    told = run("check", *arguments, "--json")
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def kinds(data):
    return [type(answer) for _, answer in decode(data).answers]


def test_all_answers_about_digits_are_covered(tmp_path):
    target = tmp_path / "digits.cert"
    data, said = verify(target, DIGITS, "--eps", "0.12", "--images", "0:60")
    assert "60 of 60 answers are covered" in said
    assert {Proved, Falsified, Misclassified} <= set(kinds(data)) and Uncovered not in kinds(data)
    checked(DIGITS, target)
    trees = [tree for _, own in decode(data).answers if isinstance(own, Proved) for g in own.groups for tree in g.trees]
    assert any(len(tree.nodes) > 1 for tree in trees)
    assert len(data) < 60 * 1024


def test_jobs_and_a_second_run_write_the_same_bytes(tmp_path):
    asked = (DIGITS, "--eps", "0.12", "--images", "0:40")
    once, _ = verify(tmp_path / "a.cert", *asked)
    assert verify(tmp_path / "b.cert", *asked)[0] == once
    assert verify(tmp_path / "c.cert", *asked, "--jobs", "2")[0] == once


@pytest.mark.parametrize("images", ("0:30", "304:305", "471:472"))
def test_a_convolutional_network_and_the_images_that_take_a_search(shared, tmp_path, images):
    target, data_dir = tmp_path / "tiny.cert", ("--data-dir", shared / "data")
    data, said = verify(target, TINY, *data_dir, "--images", images)
    assert Uncovered not in kinds(data)
    checked(TINY, target, *data_dir)
    if images != "0:30":
        ((_, answer),) = decode(data).answers
        assert any(isinstance(leaf, Leaf) and not leaf.plain for tree in answer.groups[0].trees for leaf in tree.nodes)
        assert len(data) < 20_000


@pytest.mark.parametrize(
    ("model", "property"),
    (
        ("2021/mnistfc/onnx/mnist-net_256x2.onnx.gz", "2022/mnist_fc/vnnlib/prop_4_0.03.vnnlib.gz"),
        ("2022/acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz", "2022/acasxu/vnnlib/prop_4.vnnlib.gz"),
    ),
)
def test_a_property_of_a_benchmark(shared, tmp_path, model, property):
    folder, target = shared / "benchmarks" / "vnncomp", tmp_path / "property.cert"
    data, said = verify(target, folder / model, "--vnnlib", folder / property)
    assert "1 of 1 answers are covered" in said and kinds(data) == [Proved]
    assert len(next(iter(decode(data).answers))[1].groups[0].trees) == 1
    checked(folder / model, target, "--vnnlib", folder / property)


def scaled():
    """Class 0 scores 1, class 1 |x0 - x1|."""
    consts = {
        "w1": np.array([[1, -1], [-1, 1]], np.float32),
        "w2": np.array([[0, 1], [0, 1]], np.float32),
        "b2": np.array([1, 0], np.float32),
    }
    nodes = [node("MatMul", "x w1", "h"), node("Relu", "h", "r"), node("MatMul", "r w2", "m"), node("Add", "m b2", "y")]
    return make(nodes, ("batch", 2), consts)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "model.onnx").write_bytes(scaled().SerializeToString())
    np.savez(tmp_path / "data.npz", x=np.full((3, 2), 0.5, np.float32), y=np.array([0, 0, 1]))
    return tmp_path


def labelled(folder, *arguments):
    return (folder / "model.onnx", "--data", folder / "data.npz", *arguments)


def test_json_says_what_is_covered(files):
    target = files / "model.cert"
    told = run("verify", *labelled(files, "--eps", "0.3", "--json", "--certificates", target))
    found = json.loads(told.stdout)["certificates"]
    assert found["covered"] == found["answers"] == 3 and found["bytes"] == target.stat().st_size
    assert found["not_covered"] == {}


def test_what_an_earlier_run_found_is_covered_too(files):
    """A record has no proofs; those at the root are found by the checker itself, others are searched once more."""
    asked = labelled(files, "--eps", "0.3", "--out", files / "kept.json")
    once, _ = verify(files / "a.cert", *asked)
    assert verify(files / "b.cert", *asked)[0] == once


def test_a_ball_is_not_covered_and_the_sentence_says_so(files):
    data, said = verify(files / "model.cert", *labelled(files, "--eps", "0.3", "--norm", "2"))
    assert kinds(data) == [Uncovered] * 3
    assert "0 of 3 answers are covered" in said and "balls in l2 are not covered" in said


def test_bad_places_are_refused_before_the_work(files):
    for target in (files / "absent" / "model.cert", files):
        told = run("verify", *labelled(files, "--eps", "0.3", "--certificates", target))
        assert isinstance(told.exception, InputError) and "--certificates" in str(told.exception)


def test_a_property_with_a_witness(files):
    text = """(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (<= X_0 2)) (assert (>= X_0 0)) (assert (<= X_1 2)) (assert (>= X_1 0)) (assert (<= Y_0 Y_1))"""
    (files / "sat.vnnlib").write_text(text)
    (files / "unsat.vnnlib").write_text(text.replace("<= X_0 2", "<= X_0 0.9").replace("<= X_1 2", "<= X_1 0.9"))
    (files / "properties").mkdir()
    for name in ("sat", "unsat"):
        (files / f"{name}.vnnlib").rename(files / "properties" / f"{name}.vnnlib")
    target = files / "model.cert"
    data, said = verify(target, files / "model.onnx", "--vnnlib", files / "properties")
    assert kinds(data) == [Falsified, Proved] and "2 of 2" in said
    checked(files / "model.onnx", target, "--vnnlib", files / "properties")
