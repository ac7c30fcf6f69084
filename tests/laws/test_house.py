"""Law: files and functions are short, and what travels together is one value; of a command's function, below its help.

A command of typer lists its options as parameters, as many as there are, with the help above its first statement.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for room in ("verifier", "trainer", "export", "cli") for path in (ROOT / room).rglob("*.py"))
MOST_LINES_OF_A_FILE, MOST_LINES, MOST_PARAMETERS = 300, 60, 8

# (file, function): why it may be longer
LONGER: dict[tuple[str, str], str] = {
    ("cli/train.py", "command"): "one straight line from the options to the run; to be cut when next changed",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def is_command(path: Path, function: Function) -> bool:
    return path.parent == ROOT / "cli" and function.name == "command"


def lines(path: Path, function: Function) -> int:
    first = function.lineno
    if is_command(path, function):
        first = function.body[1 if ast.get_docstring(function) else 0].lineno
    return (function.end_lineno or first) - first + 1


def positional(function: Function) -> int:
    """Parameters that a call may give without their name, but for the instance or class."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def too_long(path: Path, tree: ast.AST) -> set[str]:
    return {f.name for f in functions(tree) if lines(path, f) > MOST_LINES}


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_there_are_files_to_hold():
    assert len(FILES) > 200


def test_files_are_short():
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_functions_are_short(trees):
    found = {(path.relative_to(ROOT).as_posix(), name) for path, tree in trees.items() for name in too_long(path, tree)}
    assert found <= LONGER.keys()


def test_functions_take_few_parameters(trees):
    found = {
        (path.relative_to(ROOT).as_posix(), function.name): positional(function)
        for path, tree in trees.items()
        for function in functions(tree)
        if not is_command(path, function)
    }
    assert {name: count for name, count in found.items() if count > MOST_PARAMETERS} == {}


def test_the_law_sees_what_is_too_much():
    body = "\n".join(["    pass"] * 60)
    tree = ast.parse(
        f"class A:\n  def ok(self, a, b, c, d, e, f, g, h): pass\ndef many(a, b, c, d, e, f, g, h, /, i):\n{body}\n"
    )
    long = ROOT / "trainer" / "imagined.py"
    assert too_long(long, tree) == {"many"}
    assert {function.name: positional(function) for function in functions(tree)} == {"ok": 8, "many": 9}
    asked = ast.parse('def command(\n    a,\n    b,\n):\n    """Help."""\n    pass\n')
    assert lines(ROOT / "cli" / "imagined.py", next(functions(asked))) == 1
