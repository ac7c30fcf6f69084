"""Tiny networks whose truth is known by hand, loaded from ONNX files."""

import numpy as np
import pytest

from glscert.verifier import load
from onnx_models import make, node


@pytest.fixture
def gap(tmp_path):
    """Scores (t, |x0 - x1|) of two inputs in [0, 1]: class 0 wins where |x0 - x1| < t.

    On the ball around (c, c) the least margin is t - 2 eps; the interval image knows no better than t - 4 eps.
    """

    def build(threshold=0.25, dims=("batch", 2), arithmetic="float32"):
        consts = {
            "w1": np.array([[1, -1], [-1, 1]], np.float32),  # symmetric: either orientation is the same matrix
            "w2": np.array([[0, 1], [0, 1]], np.float32),
            "b2": np.array([threshold, 0], np.float32),
        }
        nodes = [
            node("MatMul", "x w1", "h"),
            node("Relu", "h", "r"),
            node("MatMul", "r w2", "m"),
            node("Add", "m b2", "y"),
        ]
        path = tmp_path / f"gap{'-'.join(map(str, dims))}{threshold}.onnx"
        path.write_bytes(make(nodes, dims, consts).SerializeToString())
        return load(path, arithmetic=arithmetic)

    return build
