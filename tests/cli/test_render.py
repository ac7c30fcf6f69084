"""Results on stdout, the rest on stderr, and readable where there is no terminal."""

import json

import pytest

from glscert.cli import render


def test_tables_are_not_cut_without_a_terminal(capsys):
    wide = "x" * 100
    render.results().print(render.table("Result", ("network", "certified"), [(wide, 0.5)]))
    printed = capsys.readouterr()
    assert wide in printed.out
    assert "0.5" in printed.out
    assert printed.err == ""


def test_no_color_is_honoured(monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    render.results().print("[red]words[/red]")
    assert "\x1b[31m" not in capsys.readouterr().out


def test_json_is_one_strict_object_on_stdout(capsys):
    render.print_json({"a": [1, 2.5], "b": None})
    assert json.loads(capsys.readouterr().out) == {"a": [1, 2.5], "b": None}
    with pytest.raises(ValueError, match="[Oo]ut of range"):
        render.print_json({"a": float("nan")})


def test_progress_without_a_terminal_is_plain_lines_on_stderr(capsys):
    with render.progress("training", 4) as step:
        for _ in range(4):
            step(1, "loss 0.5")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "training 100%, 0 s left loss 0.5\n"
