"""What other tools read of a gate: JUnit, SARIF, Markdown."""

import json
from pathlib import Path
from xml.etree import ElementTree as xml

import jsonschema
import pytest
from typer.testing import CliRunner

from gate_cases import POLICY, PROPERTIES, SAT, write
from glscert.cli.main import app
from onnx_models import difference

HOSTILE = 'a|b <img src=x onerror=1> [x](http://y) `c` &amp; *é* "q" \\U0001F600'


def files(folder, text, *arguments):
    """The three reports and the exit code."""
    path = write(folder, text)
    names = [folder / name for name in ("j.xml", "s.sarif", "m.md")]
    options = [each for pair in zip(("--junit", "--sarif", "--markdown"), names, strict=True) for each in pair]
    done = CliRunner().invoke(app, ["gate", *map(str, (path, *options, *arguments))])
    return done.exit_code, xml.parse(names[0]).getroot(), json.loads(names[1].read_text()), names[2].read_text()


@pytest.fixture
def reports(tmp_path):
    """One model missed and with lost and won proofs, one undecided, one broken, one skipped."""
    open_ = (
        '[[model]]\nfile = "open.onnx"\neps = 0.1\ndata = "data.npz"\nimages = "0:2"\ntimeout = 0.3\nmax_unknown = 0\n'
    )
    broken = PROPERTIES.replace('"properties"', '"none"')
    skipped = PROPERTIES.replace('"far"', '"later"').replace('"properties"', '"none"') + "required = false\n"
    text = POLICY + open_ + broken + skipped
    base = ("--baseline", tmp_path / "base.json")
    files(tmp_path, text, *base, "--update-baseline")
    (tmp_path / "base.json").write_text((tmp_path / "base.json").read_text().replace("vvfvm", "fvvvm"))
    return files(tmp_path, text.replace("= 0.6", "= 0.7"), *base)


def test_junit(reports):
    code, root, _, _ = reports
    assert code == 1
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["model.onnx", "open.onnx", "far", "later"]
    told = {case.get("name"): [each.tag for each in case] for case in suites["model.onnx"].iter("testcase")}
    assert told == {
        "min_certified": ["failure"],
        "min_natural": [],
        "max_falsified": [],
        "max_unknown": [],
        "max_lost": ["failure"],
    }
    assert suites["open.onnx"].find("testcase/failure").get("type") == "undecided"
    assert suites["far"].find("testcase/error") is not None and suites["later"].find("testcase/skipped") is not None
    assert "input 2: verified -> falsified" in suites["model.onnx"].findtext("system-out")
    for kind in ("tests", "failures", "errors", "skipped"):
        assert int(root.get(kind)) == sum(int(suite.get(kind)) for suite in root)
    assert [root.get(kind) for kind in ("failures", "errors", "skipped")] == ["3", "1", "1"]
    assert int(root.get("tests")) == len(list(root.iter("testcase")))


def test_sarif(reports):
    log = reports[2]
    schema = json.loads((Path(__file__).parent / "sarif.schema.json").read_text())
    jsonschema.validate(log, schema)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    artifacts = [each["location"]["uri"] for each in run["artifacts"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert (result["kind"] == "fail") or result["level"] == "none"  # SARIF 2.1.0, 3.27.10
        (location,) = result["locations"]
        place = location["physicalLocation"]["artifactLocation"]
        assert artifacts[place["index"]] == place["uri"] == "policy.toml"
        if "analysisTarget" in result:
            assert artifacts[result["analysisTarget"]["index"]] == result["analysisTarget"]["uri"]
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(set(prints)) == len(prints)
    told = [(result["ruleId"], result["kind"], result.get("baselineState")) for result in run["results"]]
    assert sorted(told, key=str) == sorted(
        [
            ("requirement", "fail", None),  # min_certified
            ("requirement", "fail", None),  # max_lost
            ("lost", "fail", "new"),
            ("requirement", "open", None),
            ("unknown", "open", "unchanged"),
            ("error", "fail", None),
        ],
        key=str,
    )
    lines = {result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in run["results"]}
    text = (POLICY + "[[model]]").splitlines()
    assert 1 in lines and len(text) in lines


def test_of_too_many_results_the_least_severe_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("glscert.verifier.gate.sarif._MOST", 2)
    _, _, log, _ = files(tmp_path, POLICY.replace("= 0.6", "= 0.7") + PROPERTIES.replace('"properties"', '"none"'))
    (run,) = log["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["requirement", "error"]
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"].startswith("1 of 3 results are left out")


def test_markdown(reports):
    text = reports[3]
    assert text.startswith("### ❌ glscert gate: policy not met, 1 of 4 models skipped\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)
    assert "- input 2: verified → falsified" in text and "- input 0: falsified → verified" in text
    assert "| later | skipped | |" in text


def test_names_cannot_break_out(tmp_path):
    """Markdown, HTML and XML of a name, and of what is said of a file, stay text."""
    name = HOSTILE.replace('"', '\\"')
    code, root, log, text = files(
        tmp_path, POLICY.replace("min_certified = 0.6", f'min_certified = 0.7\nname = "{name}"')
    )
    assert code == 1
    plain = HOSTILE.replace("\\U0001F600", "\U0001f600")
    assert root.find("testsuite").get("name") == plain
    assert log["runs"][0]["results"][0]["message"]["text"].startswith(plain)
    (row,) = [line for line in text.splitlines() if "min\\_certified" in line]
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 6
    assert "&lt;img src=x onerror=1&gt;" in row and "&amp;amp;" in row
    for special in ("<", "](http", "`c`", "*é*"):
        assert special not in row


def test_control_characters_of_a_property_are_no_xml(tmp_path):
    write(tmp_path)
    (tmp_path / "properties" / "b\x1b\ud7ff.vnnlib").write_text(SAT)
    code, root, _, text = files(tmp_path, PROPERTIES, "--baseline", tmp_path / "b", "--update-baseline")
    assert (code, root.get("failures")) == (1, "1")
    (tmp_path / "b").write_text((tmp_path / "b").read_text().replace('"f"', '"v"'))
    code, root, _, text = files(tmp_path, PROPERTIES, "--baseline", tmp_path / "b")
    assert "property b\ufffd\ud7ff.vnnlib: verified -> falsified" in root.findtext("testsuite/system-out")
    assert "\x1b" not in text
    done = CliRunner().invoke(app, ["gate", str(tmp_path / "policy.toml"), "--baseline", str(tmp_path / "b")])
    assert done.exit_code == 1 and "\x1b" not in done.stdout and "1 lost: property b\ufffd" in done.stdout


def test_square_brackets_are_no_markup_of_the_terminal(tmp_path):
    name = "[red]x[/blue]"
    done = CliRunner().invoke(app, ["gate", str(write(tmp_path, POLICY + f'name = "{name}"\n'))])
    assert done.exit_code == 0, done.exception
    assert name in done.stdout


def test_a_long_list_is_cut(tmp_path):
    import numpy as np

    path = write(tmp_path)
    x = np.full((120, 2), 0.5, np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(120, np.int64))
    for threshold, update in ((0.25, ["--update-baseline"]), (0.05, [])):
        (tmp_path / "model.onnx").write_bytes(difference(threshold).SerializeToString())
        arguments = [path, "--baseline", tmp_path / "b", *update, "--markdown", tmp_path / "m.md"]
        done = CliRunner().invoke(app, ["gate", *map(str, arguments)])
    assert "and 100 more" in done.stdout
    assert (tmp_path / "m.md").read_text().count("verified → falsified") == 50
    assert "- and 70 more" in (tmp_path / "m.md").read_text()
