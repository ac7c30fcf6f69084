"""The result file: strict JSON, whole at any time, taken up again where it fits and refused where it does not."""

import errno
import json
import os

import numpy as np
import pytest

from glscert.verifier.answer import Answer, Verdict, Witness
from glscert.verifier.answer.input_record import InputRecord
from glscert.verifier.answer.record import checksum
from glscert.verifier.errors import InputError

HEADER = {
    "model": {"path": "m.onnx", "sha256": "ab"},
    "property": {"norm": "linf", "eps": 0.1, "range": [0.0, 1.0]},
    "data": {"source": "s", "sha256": "cd", "first": 0, "last": 4},
    "settings": {"arithmetic": "float32"},
    "versions": {"glscert": "1.0"},
}
LABELS = [7] * 4
POINT = np.array([0.25, 0.5], np.float32)


def answer(verdict, point=None):
    witness = None if point is None else Witness(point, np.zeros(2), -1.0)
    return Answer(verdict, "why", 0.5, 0.25 if verdict is Verdict.VERIFIED else None, witness)


def filled(path):
    record = InputRecord(HEADER, LABELS, path)
    record.tell(3, answer(Verdict.TIMEOUT))
    record.tell(0, answer(Verdict.VERIFIED))
    record.tell(2, answer(Verdict.MISCLASSIFIED))
    record.tell(1, answer(Verdict.FALSIFIED, POINT))
    record.seconds = 2.0
    record.save()
    return record


def strict(path):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(path.read_text(), parse_constant=refuse)


def test_schema(tmp_path):
    filled(tmp_path / "r.json")
    found = strict(tmp_path / "r.json")
    assert found["schema"] == "glscert/verify/2"
    assert found["complete"] is True and found["checksum"] == checksum(found)
    assert [image["index"] for image in found["images"]] == [0, 1, 2, 3]
    assert set(found["images"][0]) == {"index", "label", "verdict", "margin", "seconds", "reason"}
    expected = {"images": 4, "natural_accuracy": 0.75, "adversarial_accuracy": 0.5, "certified_accuracy": 0.25}
    expected |= {"verified": 1, "falsified": 1, "misclassified": 1, "unknown": 1, "seconds": 2.0}
    assert found["summary"] == expected


def test_nothing_yet_is_strict_json_too(tmp_path):
    record = InputRecord(HEADER, LABELS, tmp_path / "r.json")
    record.save()
    found = strict(tmp_path / "r.json")
    assert found["complete"] is False and found["summary"]["certified_accuracy"] is None and found["images"] == []


def test_resumed_without_the_unknowns(tmp_path):
    filled(tmp_path / "r.json")
    again = InputRecord(HEADER, LABELS, tmp_path / "r.json")
    assert sorted(again.entries) == [0, 1, 2]
    assert again.seconds == 2.0
    assert np.array_equal(again.counterexamples[1], POINT)
    again.tell(3, answer(Verdict.VERIFIED))
    again.save()
    with np.load(tmp_path / "r.counterexamples.npz") as arrays:
        assert arrays["index"].tolist() == [1] and arrays["x"].dtype == np.float32


def test_falsified_without_its_counterexample_is_tried_again(tmp_path):
    filled(tmp_path / "r.json")
    (tmp_path / "r.counterexamples.npz").unlink()
    assert sorted(InputRecord(HEADER, LABELS, tmp_path / "r.json").entries) == [0, 2]


def test_counterexamples_of_an_older_run_do_not_stay(tmp_path):
    filled(tmp_path / "r.json")
    (tmp_path / "r.json").unlink()
    InputRecord(HEADER, LABELS, tmp_path / "r.json").save()
    with np.load(tmp_path / "r.counterexamples.npz") as arrays:
        assert len(arrays["index"]) == 0


@pytest.mark.parametrize(
    ("change", "what"),
    (
        ({"model": {"path": "m.onnx", "sha256": "ef"}}, "another model"),
        ({"property": {**HEADER["property"], "eps": 0.2}}, "another property eps: 0.1, not 0.2"),
        ({"data": {**HEADER["data"], "last": 5}}, "another data last: 4, not 5"),
    ),
)
def test_results_of_something_else_are_refused(tmp_path, change, what):
    filled(tmp_path / "r.json")
    before = (tmp_path / "r.json").read_bytes()
    with pytest.raises(InputError, match=what):
        InputRecord({**HEADER, **change}, LABELS, tmp_path / "r.json")
    assert (tmp_path / "r.json").read_bytes() == before


def test_a_moved_model_is_the_same_model(tmp_path):
    filled(tmp_path / "r.json")
    moved = {**HEADER, "model": {"path": "elsewhere.onnx", "sha256": "ab"}}
    assert len(InputRecord(moved, LABELS, tmp_path / "r.json").entries) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    (
        ("{", "["),
        ('"verified"', '"sure"'),
        ('"margin": null', '"margin": NaN'),
        ('"margin": null', '"margin": "low"'),
        ('"margin": null', '"margin": 1e999'),
        ('"index": 3', '"index": "3"'),
        ('"glscert/verify/2"', '"glscert/verify/3"'),
        ('"versions": {', '"version": {'),
        ('"images": [', '"pictures": ['),
        ('"seconds": 2.0', '"seconds": "long"'),
    ),
)
def test_a_file_of_another_kind_is_refused(tmp_path, before, after):
    filled(tmp_path / "r.json")
    content = (tmp_path / "r.json").read_text()
    assert before in content
    (tmp_path / "r.json").write_text(content.replace(before, after))
    with pytest.raises(InputError, match="not a result of this command"):
        InputRecord(HEADER, LABELS, tmp_path / "r.json")


@pytest.mark.parametrize(
    ("before", "after"),
    (
        ('"unknown": 1', '"unknown": 0'),
        ('"verified"', '"misclassified"'),
        ('"complete": true', '"complete": false'),
        ('"reason": "why"', '"reason": "because"'),
        ('"label": 7', '"label": 6'),
        ('"label": 7', '"label": null'),
        ('"index": 3', '"index": 4'),
        ('"index": 3', '"index": 2'),
        ('"path": "m.onnx"', '"path": "n.onnx"'),
        ('"checksum"', '"check"'),
    ),
)
def test_a_file_that_was_changed_is_refused(tmp_path, before, after):
    filled(tmp_path / "r.json")
    content = (tmp_path / "r.json").read_text()
    assert before in content
    (tmp_path / "r.json").write_text(content.replace(before, after))
    with pytest.raises(InputError, match="contradicts itself"):
        InputRecord(HEADER, LABELS, tmp_path / "r.json")


@pytest.mark.parametrize("content", (b"", b"\xff\xfe", b"[]", b"3", b"[" * 100_000))
def test_other_bytes_are_refused(tmp_path, content):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(InputError, match="not a result of this command"):
        InputRecord(HEADER, LABELS, tmp_path / "r.json")


def test_a_damaged_file_of_counterexamples_is_refused(tmp_path):
    filled(tmp_path / "r.json")
    (tmp_path / "r.counterexamples.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="delete it"):
        InputRecord(HEADER, LABELS, tmp_path / "r.json")


def test_a_folder_that_does_not_exist_is_said_at_once(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        InputRecord(HEADER, LABELS, tmp_path / "none" / "r.json")


def test_a_proof_with_a_counterexample_is_refused(tmp_path):
    record = filled(tmp_path / "r.json")
    record.counterexamples[0] = POINT
    record.save()
    with pytest.raises(InputError, match="input 0 is verified, and has a counterexample in r.counterexamples.npz"):
        InputRecord(HEADER, LABELS, tmp_path / "r.json")
    other = {**HEADER, "versions": {"glscert": "1.1"}}  # its proofs do not count
    assert sorted(InputRecord(other, LABELS, tmp_path / "r.json").entries) == [1, 2]


def test_proofs_in_another_arithmetic_are_made_again(tmp_path):
    filled(tmp_path / "r.json").save()
    other = {**HEADER, "settings": {"arithmetic": "real"}}
    record = InputRecord(other, LABELS, tmp_path / "r.json")
    assert record.remarks == [
        f"{tmp_path / 'r.json'} was written for float32 arithmetic; what it calls verified is decided again."
    ]
    assert all(entry["verdict"] != "verified" for entry in record.entries.values())


def test_another_ending_is_said_at_once(tmp_path):
    with pytest.raises(InputError, match="ends in .json"):
        InputRecord(HEADER, LABELS, tmp_path / "r.csv")


def test_counterexamples_keep_the_type_of_the_network(tmp_path):
    record = InputRecord(HEADER, LABELS, tmp_path / "r.json")
    record.tell(1, answer(Verdict.FALSIFIED, np.array([0.1, 16777217.0])))
    record.save()
    again = InputRecord(HEADER, LABELS, tmp_path / "r.json")
    assert again.counterexamples[1].tolist() == [0.1, 16777217.0]


@pytest.mark.parametrize("full", (".r.json.part", ".r.counterexamples.npz.part"))
def test_a_full_disk_keeps_the_earlier_file(tmp_path, monkeypatch, full):
    record = filled(tmp_path / "r.json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    record.tell(3, answer(Verdict.FALSIFIED, POINT))

    def replace(source, target):
        if source.name == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))
        real(source, target)

    real = os.replace
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        record.save()
    monkeypatch.setattr(os, "replace", real)
    assert (tmp_path / "r.json").read_bytes() == before["r.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(before)
    assert sorted(InputRecord(HEADER, LABELS, tmp_path / "r.json").entries) == [0, 1, 2]
