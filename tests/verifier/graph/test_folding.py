"""Operators on constants give what onnxruntime gives: backward slices, reductions, repetitions, entries of tables."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from glscert.verifier.errors import InputError
from glscert.verifier.graph.load import from_proto
from onnx_models import agree, make, node, normal


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def padded_by_torch() -> onnx.ModelProto:
    """Torch's pads, last axis first, turned round by a backward Slice."""
    nodes = [
        node("ConstantOfShape", "four", "zeros", value=onnx.numpy_helper.from_array(ints(0))),
        node("Concat", "pads zeros", "all", axis=0),
        node("Reshape", "all pairs", "p"),
        node("Slice", "p last first zero back", "turned"),
        node("Transpose", "turned", "t", perm=[1, 0]),
        node("Reshape", "t flat", "r"),
        node("Cast", "r", "c", to=onnx.TensorProto.INT64),
        node("Pad", "x c", "y"),
    ]
    consts = {
        "four": ints(4), "pads": ints(1, 2, 0, 1), "pairs": ints(-1, 2), "last": ints(-1), "first": ints(-(2**63) + 1),
        "zero": ints(0), "back": ints(-1), "flat": ints(-1),
    }  # fmt: skip
    return make(nodes, ("b", 2, 4, 3), consts)


def sliced(start: int, end: int, step: int) -> Callable[[], onnx.ModelProto]:
    def build() -> onnx.ModelProto:
        nodes = [node("Slice", "w s e a t", "v"), node("ReduceSum", "v a", "z"), node("Add", "x z", "y")]
        consts = {"w": normal(5), "s": ints(start), "e": ints(end), "a": ints(0), "t": ints(step)}
        return make(nodes, ("b", 3), consts)

    return build


def reduced(op: str, opset: int = 18, **attrs: object) -> Callable[[], onnx.ModelProto]:
    axes = {"a": ints(1)} if "axes" not in attrs else {}
    return lambda: make(
        [node(op, "w a" if axes else "w", "v", **attrs), node("Mul", "x v", "y")],
        ("b", 3, 1),
        {"w": normal(3, 4), **axes},
        opset,
    )


def repeated() -> onnx.ModelProto:
    return make([node("Tile", "w n", "v"), node("Add", "x v", "y")], ("b", 4), {"w": normal(2), "n": ints(2)})


def large_table() -> onnx.ModelProto:
    """Many entries of a table whose product with the count of indices is far beyond any result."""
    nodes = [node("Gather", "w i", "v", axis=0), node("ReduceSum", "v a", "z"), node("Add", "x z", "y")]
    table = np.zeros(2**16, np.float32)
    table[:4] = normal(4)
    return make(nodes, ("b", 3), {"w": table, "i": np.arange(2**13), "a": ints(0)})


CASES: dict[str, Callable[[], onnx.ModelProto]] = {
    "F.pad of torch": padded_by_torch,
    **{f"{start}:{end}:{step}": sliced(start, end, step) for start, end, step in (
        (-1, -100, -1), (3, 0, -2), (9, 1, -3), (-100, -200, -1), (-2, 9, 1), (1, -1, 2),
    )},
    "ReduceL2": reduced("ReduceL2"),
    "ReduceSum": reduced("ReduceSum"),
    "ReduceMin by attribute": reduced("ReduceMin", 13, axes=[-1], keepdims=1),
    "ReduceMax": reduced("ReduceMax"),
    "ReduceMean": reduced("ReduceMean"),
    "ReduceL2 of all": reduced("ReduceL2", 13, axes=[0, 1], keepdims=0),
    "Tile": repeated,
    "Gather of a large table": large_table,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_constants_are_those_of_the_runtime(name: str) -> None:
    agree(CASES[name]())


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="operator Slice.*cannot be evaluated on its constants"):
        from_proto(sliced(0, 3, 0)())
