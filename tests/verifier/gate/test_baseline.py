"""A baseline names what lost or won its proof, and is refused where it was changed."""

import json

import pytest

from glscert.verifier.errors import InputError
from glscert.verifier.gate import Baseline, Verdicts
from glscert.verifier.gate.verdicts import Decided

ABOUT = {"norm": "linf", "eps": 0.1, "data": "d", "first": 5, "last": 9}


def inputs(words, **about):
    decided = tuple(Decided(str(5 + i), word, "why") for i, word in enumerate(words))
    return Verdicts("input", "s", "mine", ABOUT | about, decided, 1.0)


def properties(**words):
    decided = tuple(Decided(name, word, "why") for name, word in words.items())
    asked = {name: f"of {name}" for name in words}
    return Verdicts("property", "s", "properties", {"properties": True}, decided, 1.0, asked)


def recorded(path, verdicts):
    baseline = Baseline(path, {})
    baseline.update("m", verdicts)
    baseline.save()
    return Baseline.read(path)


def test_images_lost_and_won(tmp_path):
    found = recorded(tmp_path / "b.json", inputs(["verified", "falsified", "unknown", "verified"]))
    now = inputs(["falsified", "verified", "verified", "unknown"])
    compared = found.compared("m", now)
    assert [(each.key, each.after) for each in compared.lost] == [("5", "falsified"), ("8", "unknown")]
    assert [(each.key, each.before) for each in compared.won] == [("6", "falsified"), ("7", "unknown")]
    assert not found.compared("m", inputs(["verified", "falsified", "unknown", "verified"])).lost
    assert "does not have it yet" in found.compared("other", now).remark


def test_properties_lost_won_new_and_gone(tmp_path):
    found = recorded(tmp_path / "b.json", properties(a="verified", b="falsified", c="verified", d="verified"))
    now = properties(a="unknown", b="verified", d="falsified", e="verified")
    now.asked["d"] = "of another content"
    compared = found.compared("m", now)
    assert [(each.key, each.after) for each in compared.lost] == [("a", "unknown"), ("c", "not asked any more")]
    assert [each.key for each in compared.won] == ["b"]
    assert compared.new == ("d", "e")


@pytest.mark.parametrize("about", ({"eps": 0.2}, {"data": "other"}, {"first": 6, "last": 10}, {"task": "binary"}))
def test_another_question_is_not_compared(tmp_path, about):
    found = recorded(tmp_path / "b.json", inputs(["verified"] * 4))
    with pytest.raises(InputError, match=f"another {next(iter(about))}"):
        found.compared("m", inputs(["verified"] * 4, **about))
    assert found.compared("m", inputs(["verified"] * 4, **about), anew=True).remark


def test_compact_and_the_same_every_time(tmp_path):
    many = Verdicts(
        "input", "s", "mine", ABOUT | {"first": 0, "last": 1000},
        tuple(Decided(str(i), "verified", "a long reason") for i in range(1000)), 1.0,
    )  # fmt: skip
    recorded(tmp_path / "b.json", many)
    text = (tmp_path / "b.json").read_text()
    assert len(text) < 2000
    recorded(tmp_path / "c.json", many._replace(seconds=9.0))
    assert (tmp_path / "c.json").read_text() == text


def _changed(change):
    found = {"schema": "glscert/baseline/1", "models": {"m": {"sha256": "s", "about": ABOUT, "verdicts": ["vvfu"]}}}
    return change(found)


@pytest.mark.parametrize(
    "change",
    (
        lambda found: found | {"schema": "glscert/baseline/9"},
        lambda found: [],
        lambda found: {"schema": "glscert/baseline/1"},
        lambda found: found | {"models": {"m": None}},
        lambda found: found | {"models": {"m": {"sha256": "s", "about": ABOUT, "verdicts": ["vvf"]}}},
        lambda found: found | {"models": {"m": {"sha256": "s", "about": ABOUT, "verdicts": ["vvfx"]}}},
        lambda found: found | {"models": {"m": {"sha256": "s", "about": ABOUT, "verdicts": [3, 4]}}},
        lambda found: found | {"models": {"m": {"sha256": "s", "about": {"first": [], "last": {}}, "verdicts": ["v"]}}},
        lambda found: found | {"models": {"m": {"sha256": "s", "about": {}, "verdicts": {"a": "v"}}}},
        lambda found: found | {"models": {"m": {"sha256": 4, "about": ABOUT, "verdicts": ["vvfu"]}}},
    ),
)
def test_what_is_no_baseline(tmp_path, change):
    path = tmp_path / "b.json"
    path.write_text(json.dumps(_changed(lambda found: found)))
    assert Baseline.read(path).known["m"].verdicts["7"] == ("f", "")
    path.write_text(json.dumps(_changed(change)))
    with pytest.raises(InputError, match="is no baseline .*--update-baseline"):
        Baseline.read(path)


@pytest.mark.parametrize("data", (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b"1" * 5000))
def test_what_is_no_json(tmp_path, data):
    path = tmp_path / "b.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match="is no baseline"):
        Baseline.read(path)
