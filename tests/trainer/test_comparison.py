"""Runs side by side: the front, the reports, and what cannot be compared."""

import json
import shutil

import pytest

import records
from glscert.trainer import resolve
from glscert.trainer.comparison import front, on_front, read_entries
from glscert.verifier.errors import InputError


def make_run(folder, *, natural=0.9, certified=0.5, **choices):
    """A run's folder as far as a comparison reads it."""
    folder.mkdir(parents=True)
    config = resolve({"method": "rgs", "eps": 0.1}).model_dump() | choices
    (folder / "config.json").write_text(json.dumps({"format": 1, **config}))
    record = {"step": 9, "kind": "epoch", "natural": natural, "certified": certified, "seconds": 3.0}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def report(path, *, schema="glscert/verify/2", eps=0.1, norm="linf", source="digits test", certified=0.6):
    summary = {"images": 360, "natural_accuracy": 0.9, "certified_accuracy": certified}
    about = {"norm": norm, "eps": eps}
    records.write(path, {"schema": schema, "property": about, "data": {"source": source}, "summary": summary})
    return path


def test_front():
    points = [(0.9, 0.5), (0.8, 0.7), (0.8, 0.6), (0.7, 0.7), (0.95, 0.1), (0.9, 0.5)]
    assert sorted(front(points)) == [0, 1, 4, 5]
    assert front(points)[0] == 4 and front(points)[-1] == 1
    assert front([]) == []


def test_a_report_that_is_given_counts_before_one_that_lies_there(tmp_path):
    first = make_run(tmp_path / "first", eval_relaxation="deeppoly", relaxation="ibp")
    second = make_run(tmp_path / "second")
    (entry, other) = read_entries([first, second, first], {})
    assert (entry.natural, entry.certified, entry.proved, entry.verified) == (0.9, 0.5, 0.5, None)
    assert (entry.evaluated_by, other.evaluated_by) == ("deeppoly", "deeppoly")
    found = report(first / "verify.json")
    assert read_entries([first], {})[0].verified.path == found and read_entries([first], {})[0].proved == 0.6
    given = report(tmp_path / "given.json", certified=0.7)
    assert read_entries([first], {"first": given})[0].proved == 0.7


def test_what_cannot_be_compared(tmp_path):
    digits, mnist = make_run(tmp_path / "digits"), make_run(tmp_path / "mnist", dataset="mnist")
    with pytest.raises(InputError, match="digits on digits; .*mnist on mnist.*one data set"):
        read_entries([digits, mnist], {})
    with pytest.raises(InputError, match="no training run in"):
        read_entries([tmp_path / "none"], {})
    with pytest.raises(InputError, match="report for mnist, which is not among"):
        read_entries([digits], {"mnist": tmp_path / "x.json"})
    (mnist / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match="not finished an epoch.*--resume --run mnist"):
        read_entries([mnist], {})
    shutil.rmtree(mnist)


def test_data_of_one_s_own_is_known_by_its_file(tmp_path):
    first = make_run(tmp_path / "first", dataset="own", data="a.csv")
    second = make_run(tmp_path / "second", dataset="own", data="b.csv")
    found = report(tmp_path / "r.json", eps=[0.1, 0.2], source="test.npz")
    assert read_entries([first], {"first": found})[0].proved == 0.6
    with pytest.raises(InputError, match="first on a.csv; .*second on b.csv"):
        read_entries([first, second], {})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": "glscert/verify/1"}, "was written by an older version; verify again"),
        ({"schema": "other/1"}, "is not a result of glscli verify"),
        ({"eps": 0.2}, "is about eps 0.2 in linf on digits test"),
        ({"norm": "l2"}, "is about eps 0.1 in l2 on digits test, the run about eps 0.1 in linf"),
        ({"eps": [0.1, 0.2]}, "is about eps"),
        ({"source": "mnist test"}, "on mnist test, the run about eps 0.1 in linf on digits"),
        ({"certified": None}, "is not a result of glscli verify"),
    ],
)
def test_a_report_of_something_else(tmp_path, change, sentence):
    run = make_run(tmp_path / "run")
    with pytest.raises(InputError, match=sentence):
        read_entries([run], {"run": report(tmp_path / "r.json", **change)})


def test_a_report_that_was_changed(tmp_path):
    run, path = make_run(tmp_path / "run"), report(tmp_path / "r.json")
    path.write_text(path.read_text().replace("0.6", "0.9"))
    with pytest.raises(InputError, match="its checksum is another"):
        read_entries([run], {"run": path})


def test_a_report_that_is_not_there_or_no_json(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(InputError, match="there is no report .*--out"):
        read_entries([run], {"run": tmp_path / "none.json"})
    (tmp_path / "model.onnx").write_bytes(b"\x08\xff" * 1000)
    with pytest.raises(InputError, match="is not a result") as caught:
        read_entries([run], {"run": tmp_path / "model.onnx"})
    assert len(str(caught.value)) < 400


def test_runs_of_several_radii_have_a_front_each(tmp_path):
    runs = [
        make_run(tmp_path / "a", natural=0.9, certified=0.5, eps=0.1),
        make_run(tmp_path / "b", natural=0.8, certified=0.4, eps=0.1),
        make_run(tmp_path / "c", natural=0.7, certified=0.3, eps=0.3),
    ]
    assert on_front(read_entries(runs, {})) == {0, 2}
