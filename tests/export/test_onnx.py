"""The exported ONNX file: the same function, plain, dynamic, and the same bytes every time."""

import gzip
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from glscert.export.onnx import onnx_bytes, onnx_model
from glscert.verifier.errors import InputError
from glscert.verifier.graph import Model, load_model
from glscert.verifier.graph.load import from_proto
from onnx_models import run_loaded
from random_graphs import GRAPHS

PLAIN = {
    "Add",
    "Conv",
    "ConvTranspose",
    "Div",
    "Flatten",
    "Gather",
    "Gemm",
    "MatMul",
    "Mul",
    "Pad",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Sub",
    "Transpose",
}
METADATA = {"net": "cnn3", "dataset": "mnist", "eps": "0.1", "data_dir": "/home/someone/data"}


def network(name: str) -> Model:
    graph, params = GRAPHS[name](np.random.default_rng(5))
    return Model(graph, {key: array.astype(np.float32) for key, array in params.items()}, METADATA)


def images(model: Model, count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, *model.graph.input_shape)).astype(np.float32)


def session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("count", [1, 5])
def test_onnxruntime_computes_the_network_for_any_batch(name: str, count: int) -> None:
    model = network(name)
    x = images(model, count)
    found = session(onnx_model(*model)).run(["logits"], {"input": x})[0]
    np.testing.assert_allclose(found, run_loaded(model, x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", GRAPHS)
def test_loading_the_export_gives_the_network_back(name: str) -> None:
    model = network(name)
    again = from_proto(onnx_model(*model))
    x = images(model, 4)
    np.testing.assert_allclose(run_loaded(again, x), run_loaded(model, x), rtol=0, atol=1e-5)
    assert again.graph.input_shape == model.graph.input_shape
    assert again.metadata == {"net": "cnn3", "dataset": "mnist", "eps": "0.1"}
    assert onnx_bytes(*from_proto(onnx_model(*again))) == onnx_bytes(*again)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_file_is_plain(name: str) -> None:
    model = network(name)
    proto = onnx_model(*model)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.op_type for node in proto.graph.node} <= PLAIN
    assert not any(node.metadata_props or node.doc_string or node.domain for node in proto.graph.node)
    assert not proto.doc_string and not proto.graph.doc_string and not proto.graph.metadata_props
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 17)]
    assert proto.ir_version == 8
    assert proto.producer_name == "glscert" and proto.producer_version
    (x,), (y,) = proto.graph.input, proto.graph.output
    assert (x.name, y.name) == ("input", "logits")
    assert [v.type.tensor_type.shape.dim[0].dim_param for v in (x, y)] == ["batch", "batch"]


def test_equal_networks_give_equal_bytes() -> None:
    model = network("normalised")
    shuffled = Model(model.graph, dict(reversed(model.params.items())), dict(reversed(METADATA.items())))
    assert onnx_bytes(*model) == onnx_bytes(*network("normalised")) == onnx_bytes(*shuffled)


def test_metadata_is_sorted_and_holds_no_paths() -> None:
    proto = onnx_model(*network("normalised"))
    keys = [entry.key for entry in proto.metadata_props]
    assert keys == ["org.glscli.dataset", "org.glscli.eps", "org.glscli.net"]
    assert b"/home" not in proto.SerializeToString()


def test_names_of_weights_and_values_do_not_show() -> None:
    data = onnx_bytes(*network("normalised"))
    assert not any(name.encode() in data for name in network("normalised").params)


def test_normalisation_is_inside_and_spelled_per_channel() -> None:
    proto = onnx_model(*network("normalised"))
    assert [node.op_type for node in proto.graph.node][:2] == ["Sub", "Div"]
    assert list(proto.graph.initializer[0].dims) == [1, 3, 1, 1]


def test_weights_of_two_types_are_refused() -> None:
    model = network("gemm_only")
    name = next(iter(model.params))
    model.params[name] = model.params[name].astype(np.float64)
    with pytest.raises(InputError, match="float32, float64"):
        onnx_model(*model)


def test_float64_networks_stay_so() -> None:
    graph, params = GRAPHS["conv_chain"](np.random.default_rng(5))
    model = from_proto(onnx_model(graph, params, {}))
    assert {array.dtype for array in model.params.values()} == {np.dtype(np.float64)}


def test_a_trained_network_survives_the_round_trip(shared: Path, tmp_path: Path) -> None:
    path = shared / "benchmarks" / "nets" / "mnbab_cifar10_convSmall_pgdk.onnx.gz"
    model = load_model(path)
    (tmp_path / "again.onnx").write_bytes(onnx_bytes(*model))
    x = np.random.default_rng(2).random((20, 3, 32, 32), dtype=np.float32)
    original = session(onnx.load_model_from_string(gzip.decompress(path.read_bytes())))
    wanted = original.run(None, {"input": x})[0]
    found = session(onnx.load_model_from_string((tmp_path / "again.onnx").read_bytes())).run(None, {"input": x})[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
