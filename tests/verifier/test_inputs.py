"""Files of labelled inputs: what is read, and one sentence for each that is not."""

import zipfile

import numpy as np
import pytest

from glscert.verifier.errors import InputError
from glscert.verifier.inputs import read_inputs

X = np.arange(12, dtype=np.float64).reshape(3, 2, 2) / 12
Y = np.array([0, 2, 1])


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def text(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize("shaped", (X, X.reshape(3, 4), X.astype(np.float32)))
@pytest.mark.parametrize("labels", (Y, Y.astype(np.uint8), Y.astype(np.float64)))
def test_npz(tmp_path, shaped, labels):
    x, y, _ = read_inputs(npz(tmp_path / "a.npz", x=shaped, y=labels), (2, 2))
    assert (x.dtype, y.dtype, x.shape) == (np.float32, np.int64, (3, 2, 2))
    assert np.array_equal(x, X.astype(np.float32)) and np.array_equal(y, Y)


@pytest.mark.parametrize(
    "content",
    (
        "0.5,1,3\n0.25,0,2\n",
        "a,b,y\n0.5,1,3\n0.25,0,2\n",
        "Label,0,1\n3,0.5,1\n2,0.25,0\n",
        "a,b,c\n\n0.5,1,3\r\n\r\n0.25,0,2",
        "\ufeff0.5,1,3\n0.25,0,2\n",
        "\ufeffclass,a,b\n3,0.5,1\n2,0.25,0\n",
    ),
    ids=("bare", "named", "label first", "blank lines", "byte order mark", "byte order mark and header"),
)
def test_csv(tmp_path, content):
    x, y, _ = read_inputs(text(tmp_path / "a.CSV", content), (2,))
    assert x.tolist() == [[0.5, 1], [0.25, 0]]
    assert y.tolist() == [3, 2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    (
        ({"x": X}, "no array 'y'"),
        ({"y": Y}, "no array 'x'"),
        ({"x": X, "y": Y[:2]}, "3 inputs but 2 labels"),
        ({"x": X.reshape(2, 6), "y": Y[:2]}, "the network takes"),
        ({"x": X, "y": Y + 0.5}, "one integer"),
        ({"x": X, "y": Y + np.nan}, "one integer"),
        ({"x": X, "y": Y + np.inf}, "one integer"),
        ({"x": X, "y": Y[:, None]}, "one integer"),
        ({"x": X, "y": Y * 1e300}, "one integer"),
        ({"x": X * np.nan, "y": Y}, "NaN"),
        ({"x": X * 1e300, "y": Y}, "beyond float32"),
        ({"x": X + 1j, "y": Y}, "numbers"),
        ({"x": X.astype(str), "y": Y}, "numbers"),
        ({"x": np.float64(3), "y": Y}, "numbers"),
    ),
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    path = npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_inputs(path, (2, 2))


def test_objects_are_never_unpickled(tmp_path):
    path = npz(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object), y=Y[:1])
    with pytest.raises(InputError, match="not a readable"):
        read_inputs(path, (2, 2))


def test_an_entry_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x", b"hello")
        archive.writestr("y.npy", b"\x93NUMPY\x01\x00\x76\x00{broken")
    with pytest.raises(InputError, match="not a"):
        read_inputs(tmp_path / "a.npz", (2, 2))


@pytest.mark.parametrize("cut", (0, 10, 200, 400))
def test_a_damaged_npz(tmp_path, cut):
    whole = npz(tmp_path / "a.npz", x=X, y=Y).read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:cut])
    with pytest.raises(InputError, match="not a readable"):
        read_inputs(tmp_path / "a.npz", (2, 2))


def test_a_flipped_byte_is_an_error_or_harmless(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=X, y=Y)
    whole = (tmp_path / "a.npz").read_bytes()
    for place in range(0, len(whole), 7):
        (tmp_path / "a.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            x, y, _ = read_inputs(tmp_path / "a.npz", (2, 2))
        except InputError:
            continue
        assert x.shape == (3, 2, 2) and len(y) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    (
        ("", "no rows"),
        ("a,b,y\n", "no rows"),
        ("1\n2\n", "no rows"),
        ("0.5,1,3\n0.5,3\n", "line 2: 2 cells"),
        ("a,b,y\n0.5,1,3\n0.5,x,3\n", "line 3: .*'x'"),
        ("0.5,x,3\n0.5,1,3\n", "line 1: .*'x'"),
        ("0.5,1,\n", "line 1"),
        ("0.5,nan,3\n", "NaN"),
        ("0.5,1,2.5\n", "one integer"),
        ("0.5,1,2,3,4\n", "the network takes"),
    ),
)
def test_csv_that_does_not_fit(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_inputs(text(tmp_path / "a.csv", content), (2,))


def test_other_files(tmp_path):
    for path, message in (
        (tmp_path / "a.npy", "npz"),
        (tmp_path / "none.npz", "does not exist"),
        (tmp_path, "npz"),
        (text(tmp_path / "b.csv", "ä,ö\n", "latin-1"), "not a CSV text file"),
    ):
        with pytest.raises(InputError, match=message):
            read_inputs(path, (2,))
