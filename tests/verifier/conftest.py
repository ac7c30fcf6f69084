"""Tiny networks whose truth is known by hand, loaded from ONNX files."""

import pytest

from glscert.verifier import load
from onnx_models import difference


@pytest.fixture
def gap(tmp_path):
    """Scores (t, |x0 - x1|) of two inputs in [0, 1]: class 0 wins where |x0 - x1| < t.

    On the ball around (c, c) the least margin is t - 2 eps; the interval image knows no better than t - 4 eps.
    """

    def build(threshold=0.25, dims=("batch", 2), arithmetic="float32"):
        path = tmp_path / f"gap{'-'.join(map(str, dims))}{threshold}.onnx"
        path.write_bytes(difference(threshold, dims).SerializeToString())
        return load(path, arithmetic=arithmetic)

    return build
