"""Files of radii and ranges: what is read, and one sentence for each that is not."""

import numpy as np
import pytest

from glscert.verifier.errors import InputError
from glscert.verifier.region import Region, read_region, region


def test_csv_and_npz_say_the_same(tmp_path):
    (tmp_path / "a.csv").write_text("what, EPS ,low,high\nage,2.5,0,100\nsex,0,0,1\n")
    np.savez(tmp_path / "a.npz", eps=np.array([2.5, 0]), low=0, high=np.array([100.0, 1.0]))
    for name in ("a.csv", "a.npz"):
        found = read_region(tmp_path / name, (2,))
        assert found.eps.tolist() == [2.5, 0] and found.high.tolist() == [100, 1] and np.all(found.low == 0)


@pytest.mark.parametrize("header", ("Column", "name", " feature "))
def test_rows_are_matched_by_the_names_of_columns(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header},eps\nsex,0\nage,2.5\n")
    assert read_region(tmp_path / "a.csv", (2,), ("age", "sex")).eps.tolist() == [2.5, 0]


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    (
        ("age,sex", None, "data have no header that does"),
        ("age,six", ("age", "sex"), "names six, which the data do not have as features and lacks sex"),
        ("age,sex,label", ("age", "sex"), "names label, which"),
        ("sex", ("age", "sex"), "lacks age; write one row for each of age, sex"),
        ("age,sex,age", ("age", "sex"), "'age' more than once"),
        ("age,sex", ("age", "sex", "sex"), "the data has 'sex' more than once"),
    ),
)
def test_names_that_do_not_fit(tmp_path, names, columns, message):
    (tmp_path / "a.csv").write_text("column,eps\n" + "".join(f"{name},1\n" for name in names.split(",")))
    with pytest.raises(InputError, match=message):
        read_region(tmp_path / "a.csv", (2,), columns)


def test_an_end_of_the_range_gives_way_to_float32_inputs_only():
    """float32(0.1) lies above 0.1, float32(0.7) below 0.7: the range holds both, and nothing else beyond its ends."""
    found = region({"low": np.float64(0.1), "high": np.float64(0.7)}, (2,), "here")
    assert (found.low, found.high) == (0.1, 0.7)
    found = region({"low": np.float64(0.7), "high": np.array([1.1, 1.5])}, (2,), "here")
    assert found.low == float(np.float32(0.7)) < 0.7
    assert found.high.tolist() == [float(np.float32(1.1)), 1.5] and found.high[0] > 1.1


def test_entries_take_the_shape_of_the_input():
    found = region({"eps": np.arange(4.0), "low": np.float64(-np.inf), "high": np.float64(0.1)}, (1, 2, 2), "here")
    assert found.eps.shape == (1, 2, 2) and found.eps[0, 1, 0] == 2
    assert found.low == -np.inf and found.high == float(np.float32(0.1))


def test_what_is_not_stated_comes_from_below():
    ranged = Region(None, 0.0, 2.0)
    assert Region(0.1).over(ranged).over(Region(0.5, -1.0, 1.0)) == Region(0.1, 0.0, 2.0)
    with pytest.raises(InputError, match="--eps and --range"):
        ranged.complete()


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"eps": np.ones(3)}, "eps holds 3 numbers; the input has 2 entries"),
        ({"eps": np.array([0.1, -1])}, "not negative"),
        ({"eps": np.array([0.1, np.inf])}, "must be finite"),
        ({"eps": np.array([0.1, np.nan])}, "eps holds NaN"),
        ({"low": np.zeros(2)}, "state both"),
        ({"low": np.zeros(2), "high": np.array([1.0, 0.0])}, "range of some entry is empty"),
    ],
)
def test_regions_that_are_none(stated, message):
    with pytest.raises(InputError, match=message):
        region(stated, (2,), "here")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "age,1\nsex,2\n", "states none of eps, low, high"),
        ("a.csv", "", "states none of eps, low, high"),
        ("a.csv", "what,eps\nage,a\n", "needs a number"),
        ("a.csv", "what,eps\nage\n", "needs a number"),
        ("a.csv", "what,eps\nage,1\n", "1 numbers; the input has 2"),
        ("a.npz", "no zip", "not a readable"),
        ("a.json", "{}", ".csv or .npz"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_region(tmp_path / name, (2,))
