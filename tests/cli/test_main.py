"""The frame: quick, quiet on stdout, every failure one sentence and its exit code."""

import errno
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from glscert.cli import main as frame
from glscert.cli.failures import describe
from glscert.verifier.errors import InputError, UnsupportedError


def run(*arguments, **environment):
    """`glscli arguments` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "glscert.cli.main", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        timeout=60,
    )


def end_with(monkeypatch, capsys, error):
    """Exit code and stderr of a run in which a command raises `error`."""

    def raises(**_):
        raise error

    monkeypatch.setattr(frame, "app", raises)
    with pytest.raises(SystemExit) as ended:
        frame.main()
    printed = capsys.readouterr()
    assert printed.out == ""
    return ended.value.code, printed.err


def test_version_is_printed_alone():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, version("glscert") + "\n", "")


def test_help_names_every_command_and_the_exit_codes():
    done = run("--help")
    assert done.returncode == 0
    for command in frame.COMMANDS:
        assert f" {command} " in done.stdout
    assert "130 interrupted" in " ".join(done.stdout.split())


@pytest.mark.parametrize("arguments", (["--help"], *([command, "--help"] for command in frame.COMMANDS)))
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from glscert.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr


@pytest.mark.parametrize("arguments", (["nothing"], ["--nothing"], ["demo", "--nothing"]))
def test_wrong_usage_ends_with_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: glscli" in done.stderr


@pytest.mark.parametrize("error, code", ((InputError("no such file: a.onnx"), 2), (UnsupportedError("op Erf"), 4)))
def test_own_errors_are_their_own_sentence(monkeypatch, capsys, error, code):
    assert end_with(monkeypatch, capsys, error) == (code, f"glscli: {error}\n")


def test_interrupted(monkeypatch, capsys):
    assert end_with(monkeypatch, capsys, KeyboardInterrupt()) == (130, "")


def test_unexpected_error_is_short_and_tells_how_to_see_more(monkeypatch, capsys):
    monkeypatch.delenv("GLSCLI_TRACEBACK", raising=False)
    code, printed = end_with(monkeypatch, capsys, KeyError("x\ny"))
    assert code == 5
    assert printed.count("\n") == 1
    assert "GLSCLI_TRACEBACK=1" in printed

    monkeypatch.setenv("GLSCLI_TRACEBACK", "1")
    code, printed = end_with(monkeypatch, capsys, KeyError("x"))
    assert code == 5
    assert printed.startswith("Traceback")


def test_full_disk_names_the_path():
    error = OSError(errno.ENOSPC, "No space left on device", "/mnt/run/model.onnx")
    assert describe(error) == (
        "cannot write /mnt/run/model.onnx: No space left on device. Free some space or write to another disk.",
        5,
    )


def test_full_disk_is_seen_through_a_library_s_own_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "a.onnx")
        except OSError as error:
            raise RuntimeError("could not serialise") from error
    except RuntimeError as wrapped:
        sentence, code = describe(wrapped)
    assert code == 5
    assert "a.onnx: No space left on device" in sentence
    assert describe(RuntimeError("I/O error: No space left on device (os error 28)"))[1] == 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_real_write_to_a_full_disk():
    with pytest.raises(OSError) as caught, open("/dev/full", "w") as file:
        file.write("x" * 100_000)
    sentence, code = describe(caught.value)
    assert code == 5
    assert "No space left on device" in sentence


def test_a_path_that_cannot_be_used(tmp_path):
    with pytest.raises(OSError) as caught:
        (tmp_path / "missing" / "x").read_bytes()
    assert describe(caught.value) == (f"cannot use {tmp_path}/missing/x: No such file or directory.", 2)


def test_a_missing_package_names_the_extra():
    sentence, code = describe(ModuleNotFoundError("No module named 'pydantic'", name="pydantic"))
    assert code == 2
    assert "glscert[train]" in sentence
