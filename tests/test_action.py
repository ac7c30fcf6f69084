"""action.yml and .pre-commit-hooks.yaml do what they say: their own lines, run as a runner runs them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gate_cases import POLICY, write

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step.get("id", step.get("name")): step for step in ACTION["runs"]["steps"]}


def gate(folder, **inputs):
    """The step of the gate in bash, with the runner's files in `folder`."""
    temporary = folder / "temp"
    (temporary / "glscert" / "bin").mkdir(parents=True)
    program = temporary / "glscert" / "bin" / "glscli"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m glscert.cli.main "$@"\n')
    program.chmod(0o755)
    given = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | inputs
    step = STEPS["gate"]
    named = {key: given[re.fullmatch(r"\${{ inputs\.([\w-]+) }}", value)[1]] for key, value in step["env"].items()}
    files = {"GITHUB_STEP_SUMMARY": folder / "summary.md", "GITHUB_OUTPUT": folder / "output"}
    environment = os.environ | named | {key: str(path) for key, path in files.items()} | {"RUNNER_TEMP": str(temporary)}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("least", "code", "said"), (("0.6", 0, "policy met"), ("0.7", 1, "policy not met")))
def test_the_step_of_the_gate(tmp_path, least, code, said):
    write(tmp_path, POLICY.replace("0.6", least))
    done = gate(tmp_path, junit="gate.xml")
    assert done.returncode == code, done.stderr
    assert said in (tmp_path / "summary.md").read_text()
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert outputs["exit-code"] == str(code) and Path(outputs["sarif"]).is_file()
    assert (tmp_path / "gate.xml").is_file()


@pytest.mark.parametrize(
    "hostile", ("$(touch x).toml", "`touch x`", "-h", "--json; touch x", 'a" ; touch x; "', "a\nb")
)
def test_an_input_is_no_command(tmp_path, hostile):
    done = gate(tmp_path, policy=hostile)
    assert done.returncode == 2
    assert "there is no policy file" in done.stderr
    assert not (tmp_path / "x").exists()
    assert "ended with code 2" in (tmp_path / "summary.md").read_text()


def test_every_input_is_used_and_none_is_read_as_a_command():
    text = (ROOT / "action.yml").read_text()
    for name in ACTION["inputs"]:
        assert f"inputs.{name}" in text, name
    for step in STEPS.values():
        assert "${{" not in step.get("run", "")


def test_the_package_is_that_of_the_actions_own_ref():
    install = STEPS["install glscert at the ref of this action"]
    assert install["env"]["SOURCE"] == "${{ github.action_path }}"
    assert '"$SOURCE${EXTRA:+[$EXTRA]}"' in install["run"]


def test_the_hook(tmp_path):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    write(tmp_path)
    assert hook["language"] == "python" and hook["pass_filenames"] is False
    assert re.search(hook["files"], "models/a.onnx") and not re.search(hook["files"], "onnx.py")
    assert hook["entry"].split()[0] == "glscli"
    command = [sys.executable, "-m", "glscert.cli.main", *hook["entry"].split()[1:], *hook["args"]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
