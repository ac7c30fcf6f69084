"""Graph -> ONNX -> Graph changes nothing: onnxruntime computes what `evaluate` does, and the file read back is the
network that was written, bounds included."""

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import make_case
from glscert.export.onnx import onnx_bytes
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.graph import load_model
from glscert.verifier.ops import evaluate
from random_graphs import CURVED, GRAPHS, arbitrary_convs


def written(case) -> bytes:
    return onnx_bytes(case.graph, {name: tensor.numpy() for name, tensor in case.params.items()}, {})


def run_onnx(data: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: x})
    return output


def read_back(data: bytes, folder):
    path = folder / "model.onnx"
    path.write_bytes(data)
    model = load_model(path)
    return model.graph, {name: torch.from_numpy(array.copy()) for name, array in model.params.items()}


def assert_runtime_agrees(case):
    x = case.box.upper
    expected = evaluate(case.graph, case.params, x).numpy()
    error = np.abs(run_onnx(written(case), x.numpy()) - expected).max()
    assert error <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("seed", (70, 71))
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_evaluate_agrees_with_onnxruntime(name, seed):
    assert_runtime_agrees(make_case(name, seed, dtype=torch.float32, batch=5))


@given(seed=st.integers(0, 10**6))
def test_evaluate_agrees_with_onnxruntime_on_arbitrary_convolutions(seed):
    assert_runtime_agrees(make_case("arbitrary", seed, dtype=torch.float32, make=arbitrary_convs))


@pytest.mark.parametrize("name", GRAPHS | CURVED)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_the_file_read_back_has_the_same_bounds(relaxation, name, tmp_path):
    case = make_case(name, 72, dtype=torch.float32)
    graph, params = read_back(written(case), tmp_path)
    assert graph.input_shape == case.graph.input_shape
    bounds, read = (
        RELAXATIONS[relaxation](g, p, case.box, case.spec) for g, p in ((case.graph, case.params), (graph, params))
    )
    scale = max(1.0, float(bounds.lower.abs().max()))
    assert torch.allclose(bounds.lower, read.lower, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_after_one_reading_the_bytes_no_longer_change(name, tmp_path):
    """One reading may still rewrite: a Reshape to a row becomes a Flatten."""
    data = written(make_case(name, 73, dtype=torch.float32))
    for _ in range(2):
        before = data
        graph, params = read_back(data, tmp_path)
        data = onnx_bytes(graph, {key: tensor.numpy() for key, tensor in params.items()}, {})
    assert data == before
