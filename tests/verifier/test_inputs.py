"""Files of labelled inputs: what is read, and one sentence for each that is not."""

import zipfile

import numpy as np
import pytest

from glscert.verifier.arrays import laid_out
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
    x, y = read_inputs(npz(tmp_path / "a.npz", x=shaped, y=labels), (2, 2))[:2]
    assert (x.dtype, y.dtype, x.shape) == (shaped.dtype, np.int64, (3, 2, 2))
    assert np.array_equal(x, X.astype(shaped.dtype)) and np.array_equal(y, Y)


@pytest.mark.parametrize(
    ("given", "kept"),
    (
        (np.array([[0.5, 2.0**-30]]), np.float32),
        (np.array([[0.5, 0.1]]), np.float64),
        (np.array([[0.5, 0.1]], np.float16), np.float32),
        (np.array([[16777217, 3]]), np.float64),
        (np.array([[255, 3]], np.uint8), np.float32),
        (np.array([[0.1, 3]], np.longdouble), np.float64),
    ),
)
def test_numbers_are_kept_as_they_are(tmp_path, given, kept):
    x = read_inputs(npz(tmp_path / "a.npz", x=given, y=np.zeros(1)), (2,)).x
    assert x.dtype == kept and np.array_equal(x, given)


def test_a_number_of_text_is_the_nearest_float64(tmp_path):
    found = read_inputs(text(tmp_path / "a.csv", "label,a\n0,16777217\n"), (1,))
    assert found.x.tolist() == [[16777217.0]]


@pytest.mark.parametrize("labels", (Y[:, None], Y.astype(str), Y.astype(str)[:, None]))
def test_labels_in_a_column_or_as_text_of_numbers(tmp_path, labels):
    assert read_inputs(npz(tmp_path / "a.npz", x=X, y=labels), (2, 2)).y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("given", "shape"),
    (
        ((12,), (3, 2, 2)),
        ((3, 2, 2), (3, 2, 2)),
        ((3, 4), (1, 3, 4)),
        ((1, 3, 4), (3, 4)),
        ((3, 4, 1), (1, 3, 4)),
        ((12,), (12, 1)),
        ((3, 4), (12,)),
        ((3, 4, 5), (60,)),
    ),
)
def test_shapes_that_move_no_number(given, shape):
    x = np.arange(2.0 * np.prod(given)).reshape(2, *given)
    found = laid_out(x, shape, "inputs")
    assert found.shape == (2, *shape) and np.array_equal(found.ravel(), x.ravel())


@pytest.mark.parametrize(
    ("given", "shape", "sentence"),
    (
        ((6, 32, 32, 3), (3, 32, 32), r"turn them by x\.transpose\(0, 3, 1, 2\)"),
        ((6, 3, 32, 32), (32, 32, 3), r"x\.transpose\(0, 2, 3, 1\)"),
        ((6, 5, 3), (3, 5), r"x\.transpose\(0, 2, 1\)"),
        ((6, 32, 32, 3), (3072,), r"channels last .*x\.transpose\(0, 3, 1, 2\)\.reshape"),
        ((6, 4, 9), (6, 6), "give that shape, or rows"),
        ((6, 7), (6,), "give that shape, or rows"),
        ((3, 8, 8), (3, 8, 8), r"x\[None\]"),
        ((), (1,), "a single number"),
    ),
)
def test_shapes_that_would(given, shape, sentence):
    with pytest.raises(InputError, match=sentence):
        laid_out(np.zeros(given), shape, "inputs")


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
    x, y = read_inputs(text(tmp_path / "a.CSV", content), (2,), classes=4)[:2]
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
        ({"x": X, "y": np.eye(3)}, r"y\.argmax\(1\)"),
        ({"x": X, "y": np.zeros((3, 1, 1))}, "one label per input"),
        ({"x": X, "y": np.array(["cat", "dog", "cat"])}, "are text, such as 'cat'"),
        ({"x": np.full((3, 2, 2), 2**53 + 1), "y": Y}, "2.53"),
        ({"x": X.astype(np.longdouble) + np.longdouble(2) ** -60, "y": Y}, "more digits than float64"),
        ({"x": X, "y": Y * 1e30}, r"labels go beyond 1e\+09, to 2e\+30"),
        ({"x": X, "y": np.array(["cat", "dog", "cat"], object)}, "y holds Python objects.*does not name its classes"),
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
    with pytest.raises(InputError, match="x holds Python objects, which are not unpickled"):
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
            x, y = read_inputs(tmp_path / "a.npz", (2, 2))[:2]
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
        ("0.5,1,2.5\n", "hold no class numbers"),
        ("a,b,y\n0.5,1,2.5\n", "one integer"),
        ("a,b,y\n0.5,1,cat\n", "'cat' is no number; cells must be numbers. If it is a label, a network's file"),
        ("0.5,1,2,3,4\n", "the network takes"),
    ),
)
def test_csv_that_does_not_fit(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_inputs(text(tmp_path / "a.csv", content), (2,), classes=10)


def table(header, *columns):
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([*([",".join(header)] if header else []), *rows])


CLASSES, PIXELS, ZEROS, NUMBERS = (2, 0, 1, 2), (0, 135, 78, 203), (0, 0, 0, 0), (0.5, 1.25, 3.0, -2.0)


@pytest.mark.parametrize(
    ("header", "columns", "label", "taken"),
    (
        (("label", "a", "b"), (CLASSES, PIXELS, ZEROS), None, "label"),
        (("LABEL", "a", "b"), (CLASSES, PIXELS, ZEROS), None, "LABEL"),
        (("digit", "a", "b"), (CLASSES, PIXELS, ZEROS), None, "digit"),
        (("x", "y", "label"), (NUMBERS, NUMBERS, CLASSES), None, "label"),  # y is a coordinate
        (("a", "approved", "b"), (PIXELS, CLASSES, ZEROS), "Approved", "approved"),
        (("a", "0", "kind"), (PIXELS, ZEROS, CLASSES), "kind", "kind"),  # a header, since it names what is asked for
        (("a", "b", "c"), (NUMBERS, PIXELS, CLASSES), None, "c"),
        ((), (NUMBERS, PIXELS, CLASSES), None, "last"),
        ((), (PIXELS, PIXELS, CLASSES), None, "last"),
        (("", "a", "b"), (range(4), PIXELS, CLASSES), None, "b"),  # the first numbers the rows
        ((), (CLASSES, PIXELS, ZEROS), "first", "first"),
        ((), (CLASSES, PIXELS, CLASSES), "last", "last"),
        (("a", "b", "c"), (CLASSES, PIXELS, ZEROS), "first", "a"),
    ),
)
@pytest.mark.parametrize("classes", (None, 3))
def test_the_column_of_labels(tmp_path, header, columns, label, taken, classes):
    path = text(tmp_path / "a.csv", table(header, *columns))
    found = read_inputs(path, (2,), label=label, classes=classes)
    place = {"first": 0, "last": 2}.get(taken, header.index(taken) if taken in header else None)
    assert found.label == taken and found.y.tolist() == list(columns[place])
    assert found.columns == ((*header[:place], *header[place + 1 :]) if header else None)


@pytest.mark.parametrize(
    ("header", "columns", "label", "sentence"),
    (
        ((), (CLASSES, PIXELS, ZEROS), None, "first column looks like the labels .* by --label first"),
        ((), (CLASSES, PIXELS, NUMBERS), None, "first column looks like the labels .* by --label first"),
        (("approved", "a", "b"), (CLASSES, PIXELS, ZEROS), None, r"first column \(approved\) looks like"),
        ((), (CLASSES, PIXELS, CLASSES), None, "both hold class numbers"),
        ((), (NUMBERS, CLASSES, NUMBERS), None, "hold no class numbers"),
        (("x", "y", "label"), (NUMBERS, CLASSES, CLASSES), None, "the columns y and label may each"),
        (("a", "b", "c"), (NUMBERS, PIXELS, CLASSES), "d", "no column 'd', only a, b, c"),
        ((), (NUMBERS, PIXELS, CLASSES), "d", "has no header that names a column 'd'"),
        (("a", "a", "c"), (NUMBERS, PIXELS, CLASSES), "a", "more than one"),
        (("last", "b", "c"), (NUMBERS, PIXELS, CLASSES), "last", "more than one"),
    ),
)
def test_columns_of_labels_that_are_in_doubt(tmp_path, header, columns, label, sentence):
    path = text(tmp_path / "a.csv", table(header, *columns))
    with pytest.raises(InputError, match=sentence):
        read_inputs(path, (2,), label=label, classes=3)


def test_a_line_beyond_all_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr("glscert.verifier.table._LONGEST", 10)
    with pytest.raises(InputError, match="a line of 10 characters"):
        read_inputs(text(tmp_path / "a.csv", "0.5,1,0\n0.25,0.125,1\n"), (2,))
    monkeypatch.setattr("glscert.verifier.table.MOST_BYTES", 40)
    with pytest.raises(InputError, match="more than 5 numbers"):
        read_inputs(text(tmp_path / "a.csv", "0.5,1,0\n0.5,1,1\n"), (2,))


@pytest.mark.parametrize(
    ("content", "message"),
    (
        ("a;b;y\n0.5;1;0\n", "separated by semicolons, it seems; separate them by commas, and write decimals with"),
        ("a;b;y\n0,5;1,5;0\n", "separated by semicolons"),
        ("1\t2\t0\n1\t2\t0\n", "separated by tabs"),
        ('a,b,y\n"0,5",1,0\n', "decimals are written with a point"),
        ("a,b,y\n0,5,1,2,0\n", "5 cells where the first row has 3; decimals are written with a point"),
        ("a,b,y\n0.5,1_0,0\n", "line 2: '1_0' is no number"),
        ("a,b,y\n0.5,١,0\n", "'١' is no number"),
        ("a,b,y\n0.5,,0\n", "a cell is empty"),
        ("a,b,y\n0.5,nan,0\n", "NaN"),
        ("a,b,y\n0.5,inf,0\n", "NaN or values beyond"),
    ),
)
def test_tables_of_other_habits(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_inputs(text(tmp_path / "a.csv", content), (2,), label="last")
    with pytest.raises(InputError, match="save it as UTF-8"):
        read_inputs(text(tmp_path / "a.csv", content, "utf-16"), (2,))


def test_a_table_without_the_labels_of_a_regression(tmp_path):
    with pytest.raises(InputError, match="2 columns, as many as the network has inputs, and so no labels"):
        read_inputs(text(tmp_path / "a.csv", "a,b\n0.5,1\n"), (2,), numbers=True)


def test_a_label_column_is_a_table_s(tmp_path):
    with pytest.raises(InputError, match="of a .csv file"):
        read_inputs(npz(tmp_path / "a.npz", x=X, y=Y), (2, 2), label="y")


def test_other_files(tmp_path):
    for path, message in (
        (tmp_path / "a.npy", "npz"),
        (tmp_path / "none.npz", "does not exist"),
        (tmp_path, "npz"),
        (text(tmp_path / "b.csv", "ä,ö\n", "latin-1"), "save it as UTF-8"),
    ):
        with pytest.raises(InputError, match=message):
            read_inputs(path, (2,))
