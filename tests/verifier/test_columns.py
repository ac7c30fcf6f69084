"""Names of a table's features: carried by the network's file, and put in its order; a sentence where they differ."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier.columns import as_text, read_columns
from glscert.verifier.errors import InputError
from onnx_models import make, node

VALUES = {"a": 0.9, "b": 0.2, "c": 0.5, "y": 1, "z": 0.1}


@pytest.fixture
def folder(tmp_path):
    """Scores (0.5, a), and radii 0, 0.7, 0.7 of a, b, c; only a counts."""
    consts = {"w": np.array([[0, 1], [0, 0], [0, 0]], np.float32), "b": np.array([0.5, 0], np.float32)}
    model = make([node("MatMul", "x w", "h"), node("Add", "h b", "y")], ("batch", 3), consts)
    for key, value in {"eps": "0 0.7 0.7", **as_text(("a", "b", "c"))}.items():
        model.metadata_props.add(key=f"org.glscli.{key}", value=value)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return tmp_path


def verify(folder, header, *more):
    rows = [",".join(header)] if header else []
    (folder / "rows.csv").write_text("\n".join([*rows, ",".join(str(VALUES[name]) for name in header or "abcy")]))
    named = ["verify", str(folder / "m.onnx"), "--data", str(folder / "rows.csv"), "--json", *more]
    return CliRunner().invoke(app, named)


@pytest.mark.parametrize("header", ("abcy", "cbay", "ycab", None))
def test_columns_go_by_their_names(folder, header):
    done = verify(folder, header)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("put in the network's order") == (header in ("cbay", "ycab"))


def test_radii_go_by_names_as_well(folder):
    (folder / "eps.csv").write_text("column,eps\nc,0\nb,0\na,0.7\n")
    assert verify(folder, "cbay", "--eps-file", str(folder / "eps.csv")).exit_code == 1


@pytest.mark.parametrize(
    ("header", "sentence"),
    (
        ("azcy", "no column 'b', which the network was trained on; it has z"),
        ("acy", "no column 'b', which the network was trained on. Give"),
        ("abczy", "has the column 'z', which the network was not trained on"),
        ("abcay", "has a column more than once"),
    ),
)
def test_other_columns_are_refused(folder, header, sentence):
    done = verify(folder, header)
    assert isinstance(done.exception, InputError) and sentence in str(done.exception)


@pytest.mark.parametrize("text", ("[1]", "{}", "[", '["a", "a"]', "[" * 10**5, json.dumps(["a" * 2**20])))
def test_names_that_are_none(tmp_path, text):
    with pytest.raises(InputError, match="no list of different names"):
        read_columns(text, tmp_path)


def test_what_tells_nothing_apart_is_not_written(tmp_path):
    assert as_text(None) == as_text(("a", "a")) == as_text(("a", "")) == as_text(("a" * 2**20, "b")) == {}
    assert read_columns(as_text(("größe", "b"))["columns"], tmp_path) == ("größe", "b")
