"""Operators in forms of which one stands in `tests/laws/test_translated.py`: the others agree with onnxruntime too."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from onnx_models import agree, make, node, normal

FORMS: dict[str, Callable[[], onnx.ModelProto]] = {
    "DepthToSpace by columns": lambda: make(
        [node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")], ("b", 8, 2, 3), {}
    ),
    "MatMul by a vector": lambda: make([node("MatMul", "x v", "y")], ("b", 3, 5), {"v": normal(5)}),
    "MatMul of a vector by columns": lambda: make([node("MatMul", "v x", "y")], ("b", 4, 3), {"v": normal(4)}),
    "MatMul of two vectors": lambda: make([node("MatMul", "x v", "y")], (4,), {"v": normal(4)}),
    "MatMul of one image by a vector": lambda: make([node("MatMul", "x v", "y")], (1, 4), {"v": normal(4)}),
    "Einsum of rows": lambda: make(
        [node("Einsum", "x w", "y", equation="b r i, i R -> b r R")], ("b", 3, 6), {"w": normal(6, 4)}
    ),
    "Tile of rows": lambda: make([node("Tile", "x n", "y")], ("b", 3), {"n": np.array([1, 2])}),
    "ReduceMin of all": lambda: make([node("ReduceMin", "x", "y", axes=[1, 2])], ("b", 3, 2), {}),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_agrees(name: str) -> None:
    agree(FORMS[name]())
