"""A first axis of fixed size is a batch only where each image's answer is its own."""

import numpy as np
import onnx
import pytest

from glscert.verifier import load
from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph.builder import Builder
from glscert.verifier.graph.load import from_proto
from onnx_models import agree, make, node, normal

_SHAPE = [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Cast", "n", "c", to=onnx.TensorProto.FLOAT)]
_ZERO = {"zero": np.array([0])}


def mixing(*first: onnx.NodeProto, dims=(2, 4), **consts: np.ndarray) -> onnx.ModelProto:
    """The largest entry of `r` is added to every image."""
    rank = len(dims)
    nodes = [*first, node("ReduceMax", "r", "m", axes=list(range(1, rank)), keepdims=1), node("Add", "x m", "y")]
    return make(nodes, dims, consts)


MIXING = {
    "a reshape to one row": lambda: mixing(node("Reshape", "x s", "r"), s=np.array([1, -1])),
    "a reshape of vectors to one row": lambda: mixing(
        node("Reshape", "x s", "r"), dims=(2, 2, 4), s=np.array([1, -1, 4])
    ),
    "the first image": lambda: mixing(node("Slice", "x zero one zero", "r"), **_ZERO, one=np.array([1])),
    "the last image": lambda: mixing(
        node("Slice", "x last end zero", "r"), **_ZERO, last=-np.ones(1, int), end=np.array([9])
    ),
    "images in the other order": lambda: mixing(
        node("Slice", "x last end zero last", "r"), **_ZERO, last=-np.ones(1, int), end=np.array([-9])
    ),
    "a resize to one image": lambda: mixing(
        node("Resize", "x - - size", "r"), dims=(2, 1, 2, 2), size=np.array([1, 1, 2, 2])
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MIXING)
def test_images_that_influence_each_other_are_one_input(case: str) -> None:
    proto = MIXING[case]()
    try:
        model = from_proto(proto)
    except UnsupportedError as error:
        assert "batch" in str(error)
        return
    assert model.graph.input_shape == tuple(dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim)
    if case != "a resize to one image":
        agree(proto)


def test_a_file_of_one_row_is_read_plainly() -> None:
    proto = make([node("Reshape", "x s", "r"), node("Relu", "r", "y")], (4, 2), {"s": np.array([1, -1])})
    assert from_proto(proto).graph.input_shape == (4, 2)
    agree(proto)


EACH_ITS_OWN = {
    "its number": [node("Reshape", "x to", "y")],
    "-1": [node("Reshape", "x free", "y")],
    "0": [node("Reshape", "x kept", "y")],
    "its shape, computed": [*_SHAPE[:2], node("Concat", "n rest", "t", axis=0), node("Reshape", "x t", "y")],
    "repeated": [node("Reshape", "x kept", "r"), node("Expand", "r wide", "y")],
    "cut whole": [node("Slice", "x zero many zero", "y")],
    "divided by its size": [*_SHAPE, node("Div", "x c", "y")],
}


@pytest.mark.parametrize("case", EACH_ITS_OWN)
def test_a_fixed_batch_is_read_as_one_image(case: str, tmp_path) -> None:
    consts = {
        **_ZERO,
        "to": np.array([3, 2, 2]),
        "free": np.array([-1, 4]),
        "kept": np.array([0, 1, 4]),
        "rest": np.array([4]),
        "wide": np.array([3, 2, 4]),
        "many": np.array([99]),
    }
    path = tmp_path / "net.onnx"
    path.write_bytes(make(EACH_ITS_OWN[case], (3, 4), consts).SerializeToString())
    network = load(path)
    x = normal(3, 4)
    assert network.graph.input_shape == (4,) and network.graph.reading.batch == 3
    np.testing.assert_array_equal(network.runtime.logits(x[::-1].copy()), network.runtime.logits(x)[::-1])


def test_the_comparison_sees_images_that_influence_each_other(tmp_path, monkeypatch) -> None:
    """Were such a file read as a network of one image, it would be refused."""
    nodes = [node("Reshape", "x s", "r"), node("ReduceMax", "r", "m", axes=[1]), node("MatMul", "x w", "z")]
    nodes += [node("Add", "z m", "y", name="sum")]
    consts = {"s": np.array([1, -1]), "w": normal(4, 2)}
    path = tmp_path / "net.onnx"
    path.write_bytes(make(nodes, (2, 4), consts).SerializeToString())
    assert load(path).graph.input_shape == (2, 4)
    monkeypatch.setattr(Builder, "extents", lambda self, value: value.dims)
    monkeypatch.setattr(Builder, "of_one", lambda self, node, extents: extents)
    with pytest.raises(UnsupportedError, match="does not read this network as onnxruntime does"):
        load(path)


def test_a_squeeze_that_names_no_axis_would_drop_a_batch_of_one() -> None:
    dims = ("batch", 2, 1, 3)
    with pytest.raises(UnsupportedError, match="drops every axis of size 1.*Name the axes"):
        from_proto(make([node("Squeeze", "x", "y")], dims, {}))
    agree(make([node("Squeeze", "x a", "y")], dims, {"a": np.array([2])}))
    assert from_proto(make([node("Squeeze", "x", "y")], (4, 2, 1, 3), {})).graph.input_shape == (2, 1, 3)
