"""Resize and Upsample take the entries that onnxruntime takes, for every way of counting and rounding."""

import numpy as np
import onnx
import pytest

from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph.load import from_proto
from onnx_models import make, node, run_file, run_loaded

MODES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
SCALES = (0.3, 1 / 3, 0.6, 0.7, 0.9, 1, 1.1, 1.5, 2, 2.7)


def resized(size: tuple[int, int], opset: int, scales=None, sizes=None, axes: bool = False, **attrs) -> onnx.ModelProto:
    """[1,1,h,w] by two scales or to two sizes."""
    lead = [] if axes else [1, 1]
    target = np.array([*lead, *sizes]) if sizes else np.float32([*lead, *scales])
    if axes:
        attrs["axes"] = [-2, -1]
    inputs = "x t" if opset < 11 else "x none none t" if sizes else "x none t"
    first = node("Upsample" if opset < 10 else "Resize", inputs, "z", **attrs)
    consts = {"t": target} if opset < 11 else {"t": target, "none": np.zeros(0, np.float32)}
    return make([first, node("Flatten", "z", "y")], (1, 1, *size), consts, opset)


def agree(proto: onnx.ModelProto, size: tuple[int, int]) -> None:
    x = np.arange(size[0] * size[1], dtype=np.float32).reshape(1, 1, *size)
    np.testing.assert_array_equal(run_loaded(from_proto(proto), x), run_file(proto, x))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("mode", (*MODES, "half_pixel_symmetric"))
def test_every_mode(mode: str, rounding: str) -> None:
    random = np.random.default_rng([len(mode), len(rounding)])
    attrs = {"coordinate_transformation_mode": mode, "nearest_mode": rounding}
    oldest = {"half_pixel_symmetric": 19}.get(mode, 11)
    for turn in range(12):
        size = tuple(int(n) for n in random.integers(4, 30, size=2))
        opset = max(oldest, (11, 13, 18, 19)[turn % 4])
        if turn % 3:
            scales = tuple(random.choice(SCALES, size=2))
            agree(resized(size, opset, scales, axes=opset > 17 and turn % 5 == 0, **attrs), size)
        else:
            sizes = tuple(int(n) for n in random.integers(1, 40, size=2))
            agree(resized(size, opset, sizes=sizes, axes=opset > 17, **attrs), size)


@pytest.mark.parametrize("opset", (9, 10))
def test_older_opsets(opset: int) -> None:
    random = np.random.default_rng(opset)
    for _ in range(10):
        size = tuple(int(n) for n in random.integers(4, 20, size=2))
        scales = tuple(max(scale, 1.0 if opset == 9 else 0.0) for scale in random.choice(SCALES, size=2))
        agree(resized(size, opset, scales), size)


def test_seven_tenths_of_ten_rows_are_seven() -> None:
    proto = resized((10, 1), 13, (0.7, 1), coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    assert from_proto(proto).graph.output_shape == (7,)
    agree(proto, (10, 1))


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "coordinates 'tf_crop"),
        ({"keep_aspect_ratio_policy": "not_larger"}, "keeps proportions"),
        ({"mode": "cubic"}, "supported: nearest"),
    ],
)
def test_other_ways_are_refused(attrs: dict, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        from_proto(resized((4, 4), 18, sizes=(2, 6), **attrs))


def test_no_entries_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="makes 0 entries of 4"):
        from_proto(resized((4, 4), 13, (0.2, 1)))
